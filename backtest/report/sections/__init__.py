"""The sections of the report, one file each; `ROW` says where on the page a section stands.

A new section, or a chart in one of its own, is a new file with a `ROW` and a function `section(told)`.
"""
