"""Receivers on loopback that behave like the real ones: a mail server, Slack's webhooks, PagerDuty's Events API.

The demo shows what arrives in them, and the tests make them misbehave. They run inside the caller's event loop.
"""

from pggit_alertd.demo.sinks.http import Answer, HttpRequest, HttpSink
from pggit_alertd.demo.sinks.mail import Mail, SmtpReply, SmtpSink

__all__ = ["Answer", "HttpRequest", "HttpSink", "Mail", "SmtpReply", "SmtpSink"]
