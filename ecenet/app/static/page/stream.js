// The server answers all events of a page in one stream, and ends it whenever there is nothing left to answer. Gradio's
// page takes that stream for open until it has read so: for an event that the server accepts after it ended the stream,
// but before the page knows, it opens no other and waits forever. Here, a stream whose end comes while answers are due is
// followed by the next one, and the page sees a single stream.
//
// That is how Gradio 6.31 does it; it offers no other way in than `window.fetch`, which its page calls for both. It would
// be needless if its page opened a stream whenever events are due when one ends, or if the server kept a session's stream
// open. tests/app/server/test_gradio_contract.py looks for the parts of Gradio's page that this relies on, and
// tests/app/browser/test_slow_network.py shows what happens without it.
{
  const fetchPlainly = window.fetch;
  const joining = new Set(); // events on their way to the server
  const due = new Set(); // ids of events that were accepted and not answered yet
  const early = new Set(); // ids of events that were answered before the server told their id

  const join = async (request) => {
    const response = await fetchPlainly(request);
    const id = response.ok && (await response.clone().json()).event_id;
    if (id && !early.delete(id)) due.add(id);
    return response;
  };

  async function* lines(response) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let begun = [];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      begun.push(value);
      if (!value.includes('\n')) continue;
      const whole = begun.join('').split('\n');
      begun = [whole.pop()];
      yield* whole;
    }
  }

  // Sends a stream on. Returns whether another one is to follow.
  const forward = async (response, send) => {
    for await (const line of lines(response)) {
      const message = line.startsWith('data:') ? JSON.parse(line.slice(5)) : {};
      if (message.msg === 'process_completed' && !due.delete(message.event_id)) early.add(message.event_id);
      if (message.msg === 'close_stream') {
        await Promise.allSettled(joining);
        if (due.size) return true;
      }
      send(`${line}\n`);
    }
    return false;
  };

  const answers = async (request) => {
    const first = await fetchPlainly(request.clone());
    if (!first.ok) return first;
    const body = new ReadableStream({
      async start(controller) {
        const encoder = new TextEncoder();
        const send = (text) => controller.enqueue(encoder.encode(text));
        try {
          let response = first;
          while (await forward(response, send)) {
            response = await fetchPlainly(request.clone());
            if (!response.ok) throw new Error(`Expected the next stream of answers, got status ${response.status}.`);
          }
          controller.close();
        } catch (error) {
          controller.error(error);
        }
      },
    });
    return new Response(body, { status: first.status, headers: first.headers });
  };

  window.fetch = (input, init) => {
    const { pathname } = new URL(input.url ?? input, location);
    if (pathname.endsWith('/queue/data')) return answers(new Request(input, init));
    if (!pathname.endsWith('/queue/join')) return fetchPlainly(input, init);
    const joined = join(new Request(input, init));
    const arrived = () => joining.delete(joined);
    joining.add(joined);
    joined.then(arrived, arrived);
    return joined;
  };
}
