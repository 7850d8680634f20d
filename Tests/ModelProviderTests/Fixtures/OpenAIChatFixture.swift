/// Chat Completions as vendors' current SDKs read and write them.
enum OpenAIChatFixture {
    /// Two parallel tool calls, the first in three pieces, then usage and `[DONE]`.
    static let toolCalls = #"""
        data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"gpt-x","service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"role":"assistant","content":null,"refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"aZ3"}

        data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"gpt-x","service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"get_weather","arguments":""}}]},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"aZ3"}

        data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"gpt-x","service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"city\":"}}]},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"aZ3"}

        data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"gpt-x","service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\"Oslo\"}"}}]},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"aZ3"}

        data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"gpt-x","service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_2","type":"function","function":{"name":"now","arguments":"{}"}}]},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"aZ3"}

        data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"gpt-x","service_tier":"default","system_fingerprint":"fp_1","choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"tool_calls"}],"usage":null,"obfuscation":"aZ3"}

        data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1790000000,"model":"gpt-x","service_tier":"default","system_fingerprint":"fp_1","choices":[],"usage":{"prompt_tokens":50,"completion_tokens":20,"total_tokens":70,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}

        data: [DONE]


        """#

    /// The body that goes with a conversation of all roles; the SDK marks its tools `strict`, which this client does not.
    static let conversationRequest = #"""
        {"model": "gpt-x", "stream": true, "messages": [{"role": "developer", "content": "sys"}, {"role": "user", "content": "hi"}, {"role": "assistant", "content": null, "tool_calls": [{"id": "call_0", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]}, {"role": "tool", "tool_call_id": "call_0", "content": "{}"}], "stream_options": {"include_usage": true}, "tools": [{"type": "function", "function": {"name": "get_weather", "description": "d", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false}, "strict": true}}]}
        """#

    /// A body with a user's message and nothing else.
    static let plainRequest = #"""
        {"model": "err429", "stream": true, "messages": [{"role": "user", "content": "x"}]}
        """#
}
