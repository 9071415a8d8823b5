"""The papers' tables, their overview and their claims, in numbers and as text. It may import papers
and verdicts.
"""
