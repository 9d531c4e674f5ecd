/** Reads a `text/event-stream` (WHATWG HTML §9.2) from a fetch body; EventSource cannot send a POST or a key. */

export interface ServerEvent {
  readonly event: string;
  readonly data: string;
}

const EVENT_UNITS_MAX = 16 * 1024 * 1024; // UTF-16 units; a stream that never ends an event must not fill the memory

/** The stream broke the format. */
export class StreamError extends Error {}

export async function* readEvents(body: AsyncIterable<Uint8Array>): AsyncGenerator<ServerEvent> {
  const decoder = new TextDecoder();
  let pending = "";
  let event = "";
  let data: string[] = [];
  let units = 0;
  for await (const chunk of body) {
    pending += decoder.decode(chunk, { stream: true });
    // A carriage return at the end may be the first half of CRLF: leave it for the next chunk.
    const lastReturn = pending.endsWith("\r") ? pending.lastIndexOf("\r", pending.length - 2) : pending.lastIndexOf("\r");
    const complete = pending.slice(0, Math.max(pending.lastIndexOf("\n"), lastReturn) + 1);
    pending = pending.slice(complete.length);
    for (const line of complete.split(/\r\n|\n|\r/).slice(0, -1)) {
      if (line === "") {
        if (data.length > 0) yield { event: event || "message", data: data.join("\n") };
        event = "";
        data = [];
        units = 0;
        continue;
      }
      const [, field = "", value = ""] = /^([^:]*):? ?([\s\S]*)$/.exec(line) ?? [];
      if (field === "event") event = value;
      if (field === "data") data.push(value);
      units += value.length;
    }
    if (units + pending.length > EVENT_UNITS_MAX) throw new StreamError("an event of the stream is too long");
  }
}
