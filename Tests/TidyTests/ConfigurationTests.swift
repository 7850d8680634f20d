import Testing

/// What the gateway reads from its environment is documented, offered in `.env.example`, and passed on by docker compose.
struct ConfigurationTests {
    /// Not for docker compose to pass on, and why.
    private static let ownOfImage: [String: String] = [
        "POLICIES_DIR": "mounted where the image looks", "MIGRATIONS_DIR": "in the image", "OPENAPI_FILE": "in the image",
        "DOCS_DIR": "in the image", "MASTER_KEY_FILE": "compose has MASTER_KEY",
    ]

    /// Where they are read; those of limits are made of the limits' names, and taken from the documentation.
    private func variables(_ documentation: String) throws -> Set<String> {
        let keys = /(?:text|int|url)\("([a-z0-9.]+)"/
        var names = Set(documentation.matches(of: /`(LIMIT_[A-Z_]+)`/).map { String($0.output.1) })
        for file in try SourceTree.sources.get() where file.path.hasPrefix("Sources/hsafa-gateway/") {
            for match in file.text.matches(of: keys) { names.insert(match.output.1.uppercased().replacing(".", with: "_")) }
        }
        return names
    }

    @Test func `every variable is documented, in the example, and passed on`() throws {
        let documentation = try #require(SourceTree.read("docs/CONFIGURATION.md"))
        let variables = try variables(documentation)
        #expect(variables.count > 30)
        let example = try #require(SourceTree.read(".env.example"))
        let compose = try #require(SourceTree.read("docker-compose.yml"))
        for name in variables.sorted() {
            #expect(documentation.contains("`\(name)`"), "docs/CONFIGURATION.md lacks \(name)")
            let isOffered = example.split(separator: "\n").contains { $0.hasPrefix("\(name)=") || $0.hasPrefix("#\(name)=") }
            #expect(isOffered, ".env.example lacks \(name)")
            if Self.ownOfImage[name] == nil { #expect(compose.contains("      \(name): "), "docker-compose.yml lacks \(name)") }
        }
    }
}
