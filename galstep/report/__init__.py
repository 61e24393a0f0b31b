"""A page to look at many galaxies: one static HTML file of any folder of products.

==============  ===========================================================
``card``        `Card`: what is shown of one galaxy
``cards``       cards kept beside the page, so that a product is read once
``products``    which products there are in a folder
``row``         a card as a row of the page
``page``        the page; ``report.css`` and ``report.js`` are part of it
``write``       `write_report`: all of it
==============  ===========================================================
"""

from galstep.report.cards import keep_card
from galstep.report.write import write_report

__all__ = ["keep_card", "write_report"]
