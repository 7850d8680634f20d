// What the page shows of a run, and what it does for it. Whatever comes from the run (the model, its tools, other people) is put into the
// page as text, never as HTML.
"use strict";

const byId = (id) => document.getElementById(id);
const log = byId("log");
const calls = new Map();
// The pieces of the answer that is being written, with their seq: a step that begins again takes some of them back.
let pieces = [];
let bubble = null;
let run = null;

// MARK: The tools of this page

// Each shows what it is asked, and answers only when the person in front of it says so.
const tools = {
  readNote: {
    question: (args) => `The agent asks for your note${args.reason ? `: ${args.reason}` : "."}`,
    field: null,
    accept: "Share note",
    result: () => ({ note: byId("note").value }),
  },
  askUser: {
    question: (args) => String(args.question ?? "The agent has a question."),
    field: "Your answer",
    accept: "Answer",
    result: (text) => ({ answer: text }),
  },
};

// MARK: Elements

function element(kind, { text, className, children = [], ...properties } = {}) {
  const made = document.createElement(kind);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

function add(child) {
  const isAtEnd = window.innerHeight + window.scrollY >= document.body.scrollHeight - 120;
  log.append(child);
  if (isAtEnd) child.scrollIntoView({ block: "end", behavior: "auto" });
  return child;
}

const notice = (text, className = "") => add(element("p", { text, className: `notice ${className}` }));

// MARK: Text

function spokenBy(who) {
  const text = element("div", { className: "text" });
  add(element("article", { className: `bubble ${who}`, children: [element("h2", { text: who === "user" ? "You" : "Agent" }), text] }));
  return text;
}

function write() {
  const text = pieces.map((piece) => piece.text).join("");
  if (!bubble && text) bubble = spokenBy("agent");
  if (!bubble) return;
  const isAtEnd = window.innerHeight + window.scrollY >= document.body.scrollHeight - 120;
  bubble.textContent = text;
  bubble.classList.add("growing");
  if (isAtEnd) bubble.scrollIntoView({ block: "end" });
}

function endOfText(text) {
  pieces = text ? [{ seq: 0, text }] : [];
  write();
  bubble?.classList.remove("growing");
  if (!text) bubble?.closest("article").remove();
  [pieces, bubble] = [[], null];
}

function contentText(content) {
  if (typeof content === "string") return content;
  if (Array.isArray(content)) return content.map((part) => part?.text ?? exact(part)).join("\n");
  return exact(content);
}

// MARK: Calls

const words = {
  requested: "under way", yours: "waits for you", held: "waits for approval", approved: "approved", done: "done", failed: "failed", denied: "denied",
  expired: "ran out of time", canceled: "canceled",
};

function callOf(data) {
  const known = calls.get(data.callId);
  if (known) return Object.assign(known, data.args !== undefined && { args: data.args });
  const call = { ...data, state: "requested" };
  const [badge, args, body] = [element("span", { className: "pill" }), element("pre"), element("div")];
  call.view = { badge, args, body };
  call.view.card = add(
    element("article", {
      className: "card call",
      children: [
        element("header", { children: [element("h2", { text: data.tool }), element("span", { className: "where", text: data.target }), badge] }),
        args,
        body,
      ],
    }),
  );
  calls.set(data.callId, call);
  return call;
}

function show(call, state, ...below) {
  call.state = state;
  call.view.badge.textContent = words[state];
  call.view.badge.dataset.state = state;
  call.view.args.textContent = call.args === undefined ? "" : exact(call.args);
  call.view.args.hidden = call.args === undefined;
  call.view.body.replaceChildren(...below);
}

// Buttons that work once: while what they began is under way they are still, and where it failed it can be tried again.
function actions(call, list) {
  const problem = element("p", { className: "problem", hidden: true });
  problem.setAttribute("role", "alert");
  const buttons = list.map(({ label, className, act }) => {
    const button = element("button", { text: label, className: className ?? "", type: "button" });
    button.onclick = async () => {
      const state = call.state;
      for (const other of buttons) other.disabled = true;
      try {
        await act();
      } catch (failure) {
        // The event that says so comes over the stream.
        if (call.state !== state || ["approval_already_decided", "denied_by_policy"].includes(failure.code)) return;
        [problem.textContent, problem.hidden] = [failure.message, false];
        for (const other of buttons) other.disabled = false;
      }
    };
    return button;
  });
  return [element("div", { className: "actions", children: buttons }), problem];
}

// To be carried out here, now: nobody is waited for.
function carryOut(call) {
  if (call.target !== "browser") return;
  const tool = Object.hasOwn(tools, call.tool) ? tools[call.tool] : undefined;
  if (!tool) {
    show(call, call.state, element("p", { className: "hint", text: "This page has no such tool, and says so." }));
    run.answer(call.callId, { error: { code: "unknown_tool", message: "The page has no such tool." } }).catch((failure) => notice(failure.message));
    return;
  }
  const input = tool.field && element("textarea", { rows: 2, maxLength: 4000 });
  const refuse = { error: { code: "refused_by_user", message: "The person in front of the page refused." } };
  show(
    call,
    "yours",
    element("p", { className: "question", text: tool.question(call.args ?? {}) }),
    ...(input ? [element("label", { text: tool.field, children: [input] })] : []),
    ...actions(call, [
      { label: tool.accept, className: "primary", act: () => run.answer(call.callId, { result: tool.result(input?.value ?? "") }) },
      { label: "Refuse", act: () => run.answer(call.callId, refuse) },
    ]),
  );
}

function askForApproval(call, data) {
  const reason = element("input", { maxLength: 500, autocomplete: "off", placeholder: "optional; the agent reads it" });
  show(
    call,
    "held",
    element("p", { className: "question", text: "May the agent do exactly this?" }),
    element("p", { className: "hint", text: `Wanted by ${data.rules.map(visible).join(", ")} · until ${new Date(data.expiresAt).toLocaleTimeString()}` }),
    element("label", { text: "Reason, if you deny", children: [reason] }),
    ...actions(call, [
      { label: "Approve", className: "primary", act: () => run.decide(call.callId, "approve", data.callHash) },
      { label: "Deny", className: "danger", act: () => run.decide(call.callId, "deny", data.callHash, reason.value) },
    ]),
  );
}

function finish(call, state, outcome, label = "Result") {
  const below = outcome === undefined ? [] : [element("p", { className: "hint", text: label }), element("pre", { text: exact(outcome) })];
  show(call, state, ...below);
}

// MARK: Events

// What is not known here is skipped: there will be more of them.
const events = {
  "run.created": (data) => {
    for (const message of data.messages ?? []) {
      if (message.role === "user") spokenBy("user").textContent = contentText(message.content);
    }
  },
  "step.restarted": (data) => {
    pieces = pieces.filter((piece) => piece.seq <= data.discardAfterSeq);
    write();
    if (pieces.length === 0) endOfText("");
  },
  "assistant.delta": (data, seq) => {
    pieces.push({ seq, text: data.text });
    write();
  },
  "assistant.message": (data) => endOfText(data.text),
  "tool.call.requested": (data, seq, isDue) => {
    const call = callOf(data);
    // A call that is held has no arguments: a person is asked first, and `tool.call.approved` is what this page acts on.
    const isHeld = data.held || data.args === undefined;
    show(call, isHeld ? "held" : "requested");
    if (isDue && !isHeld) carryOut(call);
  },
  "tool.call.approval_required": (data) => askForApproval(callOf(data), data),
  "tool.call.approved": (data, seq, isDue) => {
    const call = callOf(data);
    show(call, "approved");
    if (isDue) carryOut(call);
  },
  "tool.result.received": (data) => {
    const failed = data.error !== undefined;
    finish(callOf(data), failed ? "failed" : "done", failed ? data.error : data.result, failed ? "Error" : "Result");
  },
  "tool.call.denied": (data) => finish(callOf(data), "denied", data.message, "Why"),
  "tool.call.expired": (data) => finish(callOf(data), "expired"),
  "tool.call.canceled": (data) => finish(callOf(data), "canceled"),
  "run.completed": () => notice("The run is complete.", "good"),
  "run.failed": (data) => notice(`The run failed: ${data.error?.message ?? "unknown"}`, "bad"),
  "run.canceled": (data) => notice(data.reason ? `The run was canceled: ${data.reason}` : "The run was canceled.", "bad"),
};

function onEvent(event, isDue) {
  if (Object.hasOwn(events, event.type)) events[event.type](event.data, event.seq, isDue);
}

function onState(state, why) {
  const texts = { connecting: "connecting …", live: "live", waiting: "reconnecting …", ended: "ended", refused: "refused" };
  byId("state").textContent = texts[state];
  byId("state").dataset.state = state;
  if (state === "refused") {
    notice(why === 404 ? "There is no such run here." : "This token is not good, or not any more: ask for a new one.", "bad");
    byId("connect").hidden = false;
  }
}

// MARK: Beginning

function begin({ gateway, run: id, token }) {
  run?.stop();
  log.replaceChildren();
  calls.clear();
  [pieces, bubble] = [[], null];
  byId("connect").hidden = true;
  run = new Run({ gateway, run: id, token, onState, onEvent });
  run.watch();
}

byId("connect-form").onsubmit = (submit) => {
  submit.preventDefault();
  begin({ gateway: byId("gateway").value, run: byId("run").value, token: byId("token").value });
};

// #gateway=…&run=…&token=…: what stands behind # is sent to no server. It is taken out of the address at once, so that it is in no
// bookmark and in no history.
const given = new URLSearchParams(location.hash.slice(1));
if (location.hash) history.replaceState(null, "", location.pathname + location.search);
if (["gateway", "run", "token"].every((name) => given.get(name))) {
  begin(Object.fromEntries(given));
} else {
  byId("gateway").value = given.get("gateway") ?? "http://127.0.0.1:3000";
  byId("connect").hidden = false;
}
