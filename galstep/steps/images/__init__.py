"""What the steps on whole images share: arguments, catalogues, tables."""
