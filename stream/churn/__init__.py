"""Churn rules against recorded events: estimating the model, and finding out how good the rules are."""
