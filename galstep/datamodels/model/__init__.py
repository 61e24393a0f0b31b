"""What readers make and tables are made of: records and arrays that know no file."""
