// One run of a gateway, seen through a run token: its events over EventSource, resumed by their ids, and the two things that a page may do.
"use strict";

class Run {
  #url;
  #token;
  #source = null;
  #last = "";
  #over = false;
  #retries = 0;
  // How far the run was when this page came to it, and the calls that waited for an outcome then.
  #begin = null;

  // onEvent(event, isDue): each event of the run, once, in their order; isDue where a call that it speaks of is still to be carried out.
  // onState(state, why): connecting, live, waiting, ended, refused.
  constructor({ gateway, run, token, onEvent, onState }) {
    this.#url = `${gateway.replace(/\/+$/, "")}/api/runs/${encodeURIComponent(run)}`;
    this.#token = token;
    this.onEvent = onEvent;
    this.onState = onState;
  }

  async watch() {
    if (this.#over) return;
    this.onState("connecting");
    // The log begins at the run's beginning, also for a page that is loaded anew: what was answered long ago is not to be done again.
    if (!this.#begin) {
      const answer = await this.#get("");
      const run = answer?.ok ? await answer.json().catch(() => null) : null;
      if (this.#over) return;
      if (!run) return this.#again(answer);
      this.#begin = { seq: run.lastSeq, calls: new Set(run.pendingCalls.map((call) => call.callId)) };
    }
    this.#open();
  }

  // EventSource sends no header, so the token goes into the query: of this one address, which the gateway never logs.
  #open() {
    const query = new URLSearchParams({ token: this.#token, ...(this.#last && { since: this.#last }) });
    const source = new EventSource(`${this.#url}/stream?${query}`);
    this.#source = source;
    source.onopen = () => {
      this.#retries = 0;
      this.onState("live");
    };
    source.addEventListener("hsafa", (message) => {
      this.#last = message.lastEventId;
      const event = parse(message.data);
      // Its last event: nothing follows, and the gateway closes.
      if (["run.completed", "run.failed", "run.canceled"].includes(event.type)) this.#end("ended");
      this.onEvent(event, event.seq > this.#begin.seq || this.#begin.calls.has(event.data.callId));
    });
    source.onerror = () => {
      if (this.#over || source.readyState === EventSource.CONNECTING) {
        // A connection that broke: the browser comes back by itself, with the last id.
        if (!this.#over) this.onState("waiting");
        return;
      }
      source.close();
      // It gives up where the answer is no stream, and does not say what it was.
      const look = new AbortController();
      this.#get("/stream", look.signal).then((answer) => {
        look.abort();
        if (!this.#over) this.#again(answer);
      });
    };
  }

  // After an answer that is not what was asked for; undefined: none came.
  #again(answer) {
    const status = answer?.status ?? 0;
    if (status === 204) return this.#end("ended");
    if ([400, 401, 403, 404].includes(status)) return this.#end("refused", status);
    this.onState("waiting");
    const seconds = Number(answer?.headers.get("Retry-After") ?? 0);
    const pause = Math.max(seconds, Math.min(30, 2 ** this.#retries++));
    setTimeout(() => this.watch(), pause * 1000 * (1 + Math.random() / 4));
  }

  #get(path, signal) {
    const headers = { Authorization: `Bearer ${this.#token}`, ...(path && this.#last && { "Last-Event-ID": this.#last }) };
    return fetch(this.#url + path, { headers, signal, cache: "no-store", credentials: "omit" }).catch(() => undefined);
  }

  #end(state, why) {
    this.#over = true;
    this.#source?.close();
    this.onState(state, why);
  }

  stop() {
    this.#end("ended");
  }

  // The first outcome of a call stands: {result} or {error: {code, message}}.
  answer(callId, outcome) {
    return this.#post("tool-results", { callId, ...outcome });
  }

  // callHash: of the call that was shown. If it is another by now, the gateway refuses.
  decide(callId, decision, callHash, reason) {
    const path = `tool-calls/${encodeURIComponent(callId)}/${decision}`;
    return this.#post(path, { callHash, ...(decision === "deny" && reason && { reason }) });
  }

  // Sent again where nobody can know whether it arrived: the gateway takes an answer, and a decision, once.
  async #post(path, body) {
    for (let attempt = 0; ; attempt++) {
      let answer;
      try {
        answer = await fetch(`${this.#url}/${path}`, {
          method: "POST",
          headers: { Authorization: `Bearer ${this.#token}`, "Content-Type": "application/json" },
          body: JSON.stringify(body),
          credentials: "omit",
        });
      } catch (failure) {
        if (attempt >= 6) throw new Error("The gateway does not answer.", { cause: failure });
      }
      if (answer?.ok) return answer.json();
      if (answer && (attempt >= 6 || ![429, 503].includes(answer.status))) {
        const problem = await answer.json().catch(() => ({}));
        throw Object.assign(new Error(problem.detail ?? `The gateway answered ${answer.status}.`), { code: problem.code });
      }
      const seconds = Number(answer?.headers.get("Retry-After") ?? 0);
      await new Promise((later) => setTimeout(later, 1000 * Math.max(seconds, 2 ** attempt / 2)));
    }
  }
}

// A number that JavaScript would round, as it was written. Who approves a call must see what it holds.
class ExactNumber {
  constructor(source) {
    this.source = source;
  }
}

function parse(text) {
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && context?.source !== undefined && String(value) !== context.source && /\d{16}|[.eE]/.test(context.source)
      ? new ExactNumber(context.source)
      : value,
  );
}

// JSON for people's eyes: all of it, and nothing in it that looks like something else. Characters that are not seen, or that turn the
// direction of what follows, are written as escapes.
function exact(value, indent = "") {
  const inner = indent + "  ";
  if (value instanceof ExactNumber) return value.source;
  if (Array.isArray(value)) {
    if (value.length === 0) return "[]";
    return `[\n${value.map((item) => inner + exact(item, inner)).join(",\n")}\n${indent}]`;
  }
  if (value !== null && typeof value === "object") {
    const names = Object.keys(value);
    if (names.length === 0) return "{}";
    return `{\n${names.map((name) => `${inner}${exact(name)}: ${exact(value[name], inner)}`).join(",\n")}\n${indent}}`;
  }
  return visible(JSON.stringify(value) ?? "null");
}

function visible(text) {
  return text.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u034F\u115F\u1160\u3164\uFFA0]|(?! )\p{Zs}/gu, (character) =>
    character === "\n" ? character : [...Array(character.length).keys()].map((i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, "0")}`).join(""),
  );
}
