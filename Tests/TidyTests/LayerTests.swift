import Testing

/// The street: each module imports only what stands before it. Package.swift says what is linked; this says what is meant.
struct LayerTests {
    private static let system: Set<String> = ["FoundationEssentials", "Synchronization", "Glibc", "Musl", "Darwin", "Dispatch"]
    private static let nio: Set<String> = ["NIOCore", "NIOPosix"]

    /// What each module may import besides the system's own.
    private static let allowed: [String: Set<String>] = [
        "JSON": [],
        "JSONSchema": ["JSON", "CPCRE2"],
        "Cryptography": ["COpenSSL"],
        "Argon2": ["CArgon2", "CLinux"],
        "Postgres": ["CLibPQ", "CLinux", "Logging"],
        "Redis": nio.union(["CHiredis", "NIOSSL", "Logging"]),
        "ServerSentEvents": ["NIOCore"],
        "MCP": ["JSON", "Cryptography", "ServerSentEvents", "AsyncHTTPClient", "NIOCore", "NIOHTTP1", "Logging"],
        "ModelProviders": ["JSON", "ServerSentEvents", "AsyncHTTPClient", "NIOCore", "NIOPosix", "NIOHTTP1", "Logging"],
        "Domain": ["JSON", "JSONSchema", "Cryptography", "CLinux"],
        "Storage": ["Domain", "JSON", "Postgres", "Redis", "Cryptography", "NIOCore", "Logging"],
        "Runtime": nio.union([
            "Storage", "Domain", "JSON", "Postgres", "Redis", "Argon2", "Cryptography", "ModelProviders", "MCP", "CLinux",
            "ServiceLifecycle", "Logging", "AsyncHTTPClient", "NIOHTTP1", "Yams",
        ]),
        "GatewayHTTP": nio.union([
            "Runtime", "Storage", "Domain", "JSON", "Postgres", "Cryptography", "Hummingbird", "HummingbirdCore", "HTTPTypes",
            "NIOHTTPTypes",
            "NIOHTTPTypesHTTP1", "NIOHTTP1", "NIOWebSocket", "NIOTLS", "NIOSSL", "ServiceLifecycle", "Logging",
        ]),
        "HsafaClient": nio.union(["JSON", "Cryptography", "AsyncHTTPClient", "NIOHTTP1", "NIOWebSocket", "NIOSSL", "Logging"]),
        "hsafa": nio.union(["HsafaClient", "Domain", "JSON", "Cryptography", "ArgumentParser", "Logging"]),
        "hsafa-gateway": nio.union([
            "GatewayHTTP", "Runtime", "Storage", "Domain", "JSON", "Postgres", "Redis", "Argon2", "Cryptography", "ModelProviders",
            "ArgumentParser", "Configuration", "ServiceLifecycle", "UnixSignals", "Logging",
        ]),
    ]

    private static func imported(_ line: Substring) -> String? {
        guard line.has("import ") else { return nil }
        let words = line.code.split(separator: " ")
        guard let keyword = words.firstIndex(of: "import"), keyword + 1 < words.count else { return nil }
        let modifiers: Set<Substring> = [
            "public", "package", "internal", "private", "fileprivate", "@testable", "@preconcurrency", "@_exported",
        ]
        guard words[..<keyword].allSatisfy({ modifiers.contains($0) || $0.hasPrefix("@_spi") }) else { return nil }
        let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "func", "var", "let", "typealias"]
        let name = kinds.contains(words[keyword + 1]) && keyword + 2 < words.count ? words[keyword + 2] : words[keyword + 1]
        return name.split(separator: ".").first.map(String.init)
    }

    @Test func `each module imports only what stands before it`() throws {
        for file in try SourceTree.sources.get() {
            let allowed = try #require(Self.allowed[file.module], "\(file.module) has no place in the street; give it one")
            for (number, line) in file.lines.enumerated() {
                guard let name = Self.imported(line), !Self.system.contains(name) else { continue }
                #expect(allowed.contains(name), "\(file.path):\(number + 1) imports \(name)")
            }
        }
    }

    @Test func `every module of the street is there`() throws {
        let modules = Set(try SourceTree.sources.get().map(\.module))
        #expect(modules == Set(Self.allowed.keys))
    }

    @Test func `only the executable knows the HTTP layer, and nothing below the runtime knows the runtime`() throws {
        var importers: [String: Set<String>] = [:]
        for file in try SourceTree.sources.get() {
            for line in file.lines {
                if let name = Self.imported(line) { importers[name, default: []].insert(file.module) }
            }
        }
        #expect(importers["GatewayHTTP"] == ["hsafa-gateway"])
        #expect(importers["Runtime"]?.isSubset(of: ["GatewayHTTP", "hsafa-gateway"]) == true)
        #expect(importers["Storage"]?.isSubset(of: ["Runtime", "GatewayHTTP", "hsafa-gateway"]) == true)
        #expect(importers["CLibPQ"] == ["Postgres"])
        #expect(importers["CHiredis"] == ["Redis"])
        #expect(importers["COpenSSL"] == ["Cryptography"])
        #expect(importers["CArgon2"] == ["Argon2"])
    }

    @Test func `imports are read in all their spellings`() {
        #expect(Self.imported("import JSON") == "JSON")
        #expect(Self.imported("public import JSON // why") == "JSON")
        #expect(Self.imported("    @preconcurrency import struct Foundation.Data") == "Foundation")
        #expect(Self.imported("// import JSON") == nil)
        #expect(Self.imported("let text = \"we import JSON\"") == nil)
    }
}
