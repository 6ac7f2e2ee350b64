// The server sends all responses to a page in one stream, and ends the stream when no event is pending. Gradio's page
// considers the stream open until it has read that end. If the server accepts an event after it has ended the stream
// but before the page knows, the page opens no new stream and waits forever. Here, a stream that ends while responses
// are due is continued by a new one, so that the page sees a single stream.
//
// This is a workaround for Gradio 6.31, whose page uses `window.fetch` for both requests. It is no longer needed once
// the page opens a new stream if events are pending at the end of one, or the server keeps a session's stream open.
// tests/app/server/test_gradio_contract.py checks the parts of Gradio's page that it relies on, and
// tests/app/browser/test_slow_network.py shows the effect without it.
{
  const fetchPlainly = window.fetch;
  const joining = new Set(); // events on their way to the server
  const due = new Set(); // ids of accepted events without a response
  const early = new Set(); // ids of events whose response arrived before their id

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

  // Forwards a stream. Returns whether another one must follow.
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
            if (!response.ok) throw new Error(`Expected the next stream of responses, got status ${response.status}.`);
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
