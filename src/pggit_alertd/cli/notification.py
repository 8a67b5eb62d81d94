"""Notifications: try one."""

from typing import TYPE_CHECKING, Annotated

import typer

from pggit_alertd.cli.reporting import AsJson, ExitStatus, answer, answering, complain, load_settings, say

if TYPE_CHECKING:
    from pggit_alertd.send_test import Attempt, Trial


def send_test(
    setting: Annotated[str, typer.Argument(metavar="SETTING_ID|NAME", help="A row of alert_notification_settings.")],
    as_json: AsJson = False,
) -> None:
    """Send a test message.

    It is marked [TEST], goes through one notification setting, enabled or not, to the on-call shift if one is on, and
    the receiver's reply is printed. On PagerDuty the incident is resolved at once. The delivery log has the outcome,
    with the status `test`.
    """
    import asyncio

    with answering(as_json=as_json):
        settings = load_settings()

        from pggit_alertd import send_test as trials

        trial = asyncio.run(trials.send_test(settings, setting))
    if as_json:
        answer(_content(trial))
    else:
        for attempt in trial.attempts:
            say(_line(trial, attempt))
    if trial.log_error:
        complain(f"warning: the delivery log could not be written: {trial.log_error}")
    if not trial.succeeded:
        raise typer.Exit(ExitStatus.FAILED)


def _line(trial: "Trial", attempt: "Attempt") -> str:
    setting = trial.setting
    head = f"{setting.channel} {setting.recipient} (setting {setting.title}{setting.by_shift}), {attempt.event.value}"
    if attempt.receipt is None:
        return f"{head}: not sent, this is a dry run (PGGIT_ALERTD_DRY_RUN)"
    code = f" {attempt.code}" if attempt.code is not None else ""
    detail = f": {attempt.detail}" if attempt.detail else ""
    if attempt.failed:
        from pggit_alertd.channels.mends import mended

        return mended(f"{head}: not delivered, {attempt.reason.value}{detail}", attempt.reason)
    return f"{head}: delivered, answer{code} in {attempt.milliseconds} ms{detail}"


def _content(trial: "Trial") -> dict[str, object]:
    return {
        "ok": trial.succeeded,
        "setting_id": trial.setting.setting_id,
        "name": trial.setting.name,
        "shift_id": trial.setting.shift_id,
        "channel": trial.setting.channel,
        "recipient": trial.setting.recipient,
        "attempts": [
            {
                "event": attempt.event.value,
                "outcome": attempt.outcome,
                "reason": attempt.reason.value or None,
                "code": attempt.code,
                "detail": attempt.detail,
                "milliseconds": attempt.milliseconds,
            }
            for attempt in trial.attempts
        ],
        "logged": not trial.log_error,
    }
