import AsyncHTTPClient
import ModelProviders
import NIOCore
import NIOPosix
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(5))) struct OpenAIChatTimeoutTests {
    @Test func `silence within the stream ends the call after the idle time`() async throws {
        let stream = chunks(delta(#"{"content":"a"}"#), done: false)
        let failed = try await failure([.stream(stream, ending: .silent)], options: .test(idle: .seconds(8)))
        #expect(failed.error.code == .timeout)
        #expect(failed.error.isRetryable)
        #expect(failed.error.hasEmitted)
    }

    @Test func `silence before the head ends the call after the idle time`() async throws {
        let failed = try await failure([ScriptedReply(isMute: true)], options: .test(idle: .milliseconds(60)))
        #expect(failed.error.code == .timeout)
        #expect(!failed.error.hasEmitted)
    }

    @Test func `the total time bounds a call with all its attempts`() async throws {
        let failed = try await failure([ScriptedReply(isMute: true)], options: .test(total: .milliseconds(60)))
        #expect(failed.error.code == .timeout)
        #expect(failed.error.publicMessage.contains("longer than"))
        #expect(!failed.error.isRetryable)
    }

    @Test func `a slow reader is no silence of the server`() async throws {
        let stream = chunks(delta(#"{"content":"a"}"#), delta(#"{"content":"b"}"#, finish: "stop"))
        try await ScriptedServer.with([.stream(stream)]) { server in
            try await withOpenAIChatClient(.test(idle: .seconds(8))) { client in
                let isFirst = Atomic(true)
                let response = try await client.perform(.hello(baseURL: server.baseURL)) { _ in
                    if isFirst.exchange(false, ordering: .relaxed) { try await timePasses(.milliseconds(8500)) }
                }
                #expect(response.text == "ab")
            }
        }
    }

    @Test func `a server that accepts no connection is given up after the connect time`() async throws {
        // Its kernel queue is full and nobody accepts: further SYNs are dropped.
        let deaf = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .serverChannelOption(.backlog, value: 0).serverChannelOption(.autoRead, value: false)
            .bind(host: "127.0.0.1", port: 0).get()
        let address = try #require(deaf.localAddress)
        let filler = try await ClientBootstrap(group: .singletonMultiThreadedEventLoopGroup).connect(to: address).get()
        try await withOpenAIChatClient(.test(retries: 0), connectTimeout: .milliseconds(150)) { client in
            let error = await #expect(throws: ModelError.self) {
                try await client.perform(.hello(baseURL: "http://127.0.0.1:\(address.port ?? 0)/v1")) { _ in }
            }
            #expect(error?.code == .unreachable)
        }
        try await filler.close()
        try await deaf.close()
    }
}
