"""What objects are: kinds, schemas, defaults, validation, patches, selectors, tables. PURE.

Objects are trees of dict, list, str, int, float, bool and None as JSON has them, and are never
changed once somebody else may hold them: a change copies the path to what it changes.
"""
