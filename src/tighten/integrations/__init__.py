"""Training loops of other libraries; import the one you need, such as `tighten.integrations.lightning`.

None of them is imported here: each needs a library that may not be installed.
"""
