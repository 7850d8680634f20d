"""The generated Python client, from an agent to the end of a run, with its typed models and nothing else."""

import os
import time
import uuid

from hsafa_client import AuthenticatedClient
from hsafa_client.api.agents import create_agent, list_agents
from hsafa_client.api.runs import cancel_run, create_run, get_run, list_run_events, list_runs, list_tool_calls, submit_tool_result
from hsafa_client.models import (
    AgentConfig,
    AgentIdentity,
    AgentPage,
    AssistantDeltaEvent,
    CreatedAgent,
    CreatedRun,
    InitialMessage,
    MessageRole,
    ModelSettings,
    ModelSettingsProvider,
    NewAgent,
    NewRun,
    Problem,
    Run,
    RunCancellation,
    RunCreatedEvent,
    RunDetail,
    RunEventPage,
    RunPage,
    RunStatus,
    ToolCallRequestedEvent,
    ToolDefinition,
    ToolResult,
    ToolResultReceipt,
    ToolTarget,
)

client = AuthenticatedClient(os.environ["HSAFA_URL"], os.environ["HSAFA_API_KEY"], raise_on_unexpected_status=True)


def the(kind, value):
    """The value, which must be of that model: a refusal is a Problem, and says why."""
    assert isinstance(value, kind), f"{kind.__name__} expected: {value}"
    return value


def start(name: str, script: dict, tools: list[ToolDefinition]) -> CreatedRun:
    config = AgentConfig(
        version="1.0",
        agent=AgentIdentity(name=name),
        model=ModelSettings(provider=ModelSettingsProvider.SIMULATED, script=script),
        tools=tools,
    )
    made = the(CreatedAgent, create_agent.sync(client=client, body=NewAgent(name=name, config=config), idempotency_key=str(uuid.uuid4())))
    assert made.current_version.agent_id == made.agent_id
    hello = InitialMessage(role=MessageRole.USER, content="Hello.")
    run = the(CreatedRun, create_run.sync(client=client, body=NewRun(agent_id=made.agent_id, initial_messages=[hello])))
    assert run.agent_id == made.agent_id
    return run


def poll(run: CreatedRun, *statuses: RunStatus) -> RunDetail:
    # A net for a machine that is busy: the run takes moments.
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        detail = the(RunDetail, get_run.sync(run.run_id, client=client))
        if detail.status in statuses:
            return detail
        time.sleep(0.1)
    raise AssertionError(f"the run never became {statuses}")


# A run that asks for a tool of ours, is answered, and completes.
look = ToolDefinition(name="look_up", target=ToolTarget.EXTERNAL)
steps = [{"text": "One moment.", "toolCalls": [{"name": "look_up", "arguments": {"what": "weather"}}]}, {"text": "{{lastToolResult}}"}]
run = start("python-client", {"steps": steps}, [look])
waiting = poll(run, RunStatus.WAITING_TOOL)
[call] = waiting.pending_calls
assert call.tool == "look_up" and call.args.to_dict() == {"what": "weather"} and call.target == ToolTarget.EXTERNAL
receipt = submit_tool_result.sync(run.run_id, client=client, body=ToolResult(call_id=call.call_id, result={"sun": True}))
assert the(ToolResultReceipt, receipt).applied
done = poll(run, RunStatus.COMPLETED)
page = the(RunEventPage, list_run_events.sync(run.run_id, client=client, limit=1000))
assert [event.seq for event in page.data] == list(range(1, done.last_seq + 1)) and page.next_cursor is None
assert isinstance(page.data[0], RunCreatedEvent) and page.data[0].data.agent_name == "python-client"
assert [event.data.call_id for event in page.data if isinstance(event, ToolCallRequestedEvent)] == [call.call_id]
deltas = [event.data.text for event in page.data if isinstance(event, AssistantDeltaEvent)]
assert "".join(deltas).startswith("One moment."), deltas
assert len(list_tool_calls.sync(run.run_id, client=client).data) == 1

# A run that would talk for minutes, canceled.
talk = start("python-talker", {"steps": [{"deltas": {"count": 6000, "text": "word "}, "delayMilliseconds": 20}]}, [])
poll(talk, RunStatus.RUNNING)
the(Run, cancel_run.sync(talk.run_id, client=client, body=RunCancellation(reason="Enough.")))
assert poll(talk, RunStatus.CANCELED).finished_at is not None

# Pages, and a refusal as a model.
assert len(the(RunPage, list_runs.sync(client=client, limit=1)).data) == 1
assert {agent.name for agent in the(AgentPage, list_agents.sync(client=client)).data} >= {"python-client", "python-talker"}
missing = the(Problem, get_run.sync(uuid.uuid4(), client=client))
assert missing.status == 404 and missing.code == "run_not_found"
print("The Python client went from agent to run to events to cancel")
