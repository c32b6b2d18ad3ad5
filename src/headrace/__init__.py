"""Headrace: from raw data to a served and watched model, one DAG behind two doors."""
