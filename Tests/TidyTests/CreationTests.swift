import Testing

/// What creates takes an `Idempotency-Key`, in the code and in the description.
struct CreationTests {
    /// The POSTs that create nothing, each with its reason. Whoever adds a POST either makes it a `CreatingOperation` or says here why not.
    private static let others: [String: String] = [
        "cancelRun": "Asking again answers with the run as it is.",
        "submitToolResult": "A call has one outcome; a second answer is told so.",
        "submitExternalResult": "A call has one outcome; a second answer is told so. There is no principal.",
        "enrollDevice": "The token is the key: the same device asking again gets the same answer. There is no principal yet.",
        "suspendTenant": "Suspending a suspended tenant changes nothing.",
        "resumeTenant": "Resuming an active tenant changes nothing.",
        "approveDevice": "Approving an active device changes nothing.",
        "approveCall": "A decision about a call is made once; a second one is told so.",
        "denyCall": "A decision about a call is made once; a second one is told so.",
        "evaluatePolicies": "It asks and changes nothing.",
    ]

    private struct Post {
        let operationID: String
        let type: String
    }

    private static func posts(_ source: String) throws -> [Post] {
        try RouteTests.entries(of: source).filter { $0.contains(".post, ") }.map { line in
            let fields = line.split(separator: ",").map { $0.filter { !" \"()".contains($0) } }
            let type = try #require(fields.first { $0.hasSuffix(".self") }, "\(line)").dropLast(".self".count)
            let position = try #require(fields.firstIndex { $0.hasSuffix(".self") })
            return Post(operationID: fields[position - 1], type: String(type))
        }
    }

    /// The description of one operation, up to the next.
    private static func description(of operationID: String, in yaml: String) -> Substring? {
        guard let start = yaml.firstRange(of: "operationId: \(operationID)\n") else { return nil }
        let rest = yaml[start.upperBound...]
        return rest[..<(rest.firstRange(of: "operationId: ")?.lowerBound ?? rest.endIndex)]
    }

    @Test func `every POST creates under a key, or is known not to create`() throws {
        let posts = try Self.posts(try #require(SourceTree.read("Sources/GatewayHTTP/Routes.swift")))
        #expect(posts.count >= 9)
        let sources = try SourceTree.sources.get().filter { $0.module == "GatewayHTTP" }
        let yaml = try #require(SourceTree.read("openapi.yaml"))
        for post in posts {
            let isCreating = sources.contains { $0.text.contains("struct \(post.type): CreatingOperation {") }
            let isPlain = sources.contains {
                $0.text.contains("struct \(post.type): Operation {") || $0.text.contains("struct \(post.type): AdminOperation {")
                    || $0.text.contains("struct \(post.type): OpenOperation {")
            }
            #expect(isCreating != isPlain, "\(post.type) is not declared as one kind of operation")
            #expect(
                isCreating == (Self.others[post.operationID] == nil),
                "\(post.operationID): make it a CreatingOperation, or say in this test why it creates nothing")
            let description = try #require(Self.description(of: post.operationID, in: yaml))
            #expect(
                description.contains("#/components/parameters/IdempotencyKey") == isCreating,
                "openapi.yaml: \(post.operationID) and IdempotencyKey")
        }
        #expect(Set(Self.others.keys).isSubset(of: posts.map(\.operationID)), "an exception that no route needs")
    }
}
