"""Command `check`: validates the config and asks each engine whether it is healthy."""

import argparse

import trio

from job.config.environment import Options
from job.config.faults import ConfigError, not_set
from job.config.read import read_config
from job.config.values import HOOK_REMEDY
from job.day.attempt import ExitCode
from job.engines.calls import EngineName
from job.engines.health import health_problem
from job.engines.http import HttpClient, Network
from job.engines.id_tokens import IdTokens
from job.engines.tls import tls_context
from job.outputs.message import Notifier, trial_fields, trial_lines
from job.outputs.stdout import say, say_error
from job.storage.store import StorageError
from job.telling.notes import plan_notes
from job.text.messages import Message, colon, message, translator


def check_command(options: Options, given: argparse.Namespace) -> ExitCode:  # noqa: ARG001  as every command
    return trio.run(check, options)


async def check(options: Options) -> ExitCode:
    """Prints one line for each fault, notice and engine, with what is wrong if anything is."""
    settings, to = options.settings, translator(options.settings.language)
    for notice in settings.notices:
        say(f"! {to.text(notice)}")
    try:
        config = await read_config(options, settings.days().current(options.now))
    except ConfigError as error:
        for fault in error.faults:
            say(f"✗ {to.text(fault.sentence)}")
        return ExitCode.USAGE
    except StorageError as error:
        say(f"✗ {to.text(colon(error.place, error.text))}")
        return ExitCode.TEMPFAIL
    for notice in (*config.plan.notices, *plan_notes(config.plan)):
        say(f"! {to.text(notice)}")
    say(f"✓ {to.text(colon('CONFIG_URI', config.plan.size))}")
    network = Network(tls_context(settings.authorities))
    problems: dict[EngineName, list[Message]] = {name: [] for name in config.plan.engines()}

    async def look(name: EngineName) -> None:
        url, audience = settings.engines[name].url or "", settings.engines[name].audience or ""
        problems[name] = await health_problem(name, url, audience, HttpClient(network, url), tokens)

    async with trio.open_nursery() as helpers:
        tokens = IdTokens(helpers, settings.impersonate)
        async with trio.open_nursery() as looks:
            for name in config.plan.engines():
                looks.start_soon(look, name)
        helpers.cancel_scope.cancel()
    for name, problem in problems.items():
        good = message("{engine}: {url} is healthy", engine=name, url=settings.engines[name].url or "")
        say("\n".join(f"✗ {to.text(colon(name, line))}" for line in problem) or f"✓ {to.text(good)}")
    return ExitCode.FAILED if any(problems.values()) else ExitCode.DONE


def notify_command(options: Options, given: argparse.Namespace) -> ExitCode:  # noqa: ARG001  as every command
    """Sends a test message to NOTIFY_URL, and prints in one line whether it was accepted."""
    settings, to = options.settings, translator(options.settings.language)
    notifier = Notifier(settings)
    if notifier.hook is None:
        say_error(to.text(settings.notify_fault or not_set("NOTIFY_URL", HOOK_REMEDY).sentence))
        return ExitCode.USAGE
    problem = trio.run(notifier.send_lines, trial_lines(settings), trial_fields)
    taken = message("{channel} has taken the message", channel=notifier.hook.channel.title)
    say(f"✗ {to.text(problem)}" if problem else f"✓ {to.text(taken)}")
    return ExitCode.FAILED if problem else ExitCode.DONE
