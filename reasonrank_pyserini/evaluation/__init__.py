"""Runs beside each other: intervals, significance, and the HTML report."""
