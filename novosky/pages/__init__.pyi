from .shell import COLOURS as COLOURS
from .shell import document as document
from .shell import plain_document as plain_document
