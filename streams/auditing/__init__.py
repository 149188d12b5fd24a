"""The process that audits: reads the topics, lets :mod:`monitoring.audit` judge, tells and acts."""
