"""What the papers say and what their rows train: published numbers, recipes, conf/table. It imports
no other package.
"""
