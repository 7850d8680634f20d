// swift-tools-version:6.2
import PackageDescription

let settings: [SwiftSetting] = [
    .treatAllWarnings(as: .error),
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioEmbedded = Target.Dependency.product(name: "NIOEmbedded", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioWebSocket = Target.Dependency.product(name: "NIOWebSocket", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdCore = Target.Dependency.product(name: "HummingbirdCore", package: "hummingbird")
let httpTypes = Target.Dependency.product(name: "HTTPTypes", package: "swift-http-types")
let nioHTTPTypes = Target.Dependency.product(name: "NIOHTTPTypes", package: "swift-nio-extras")
let nioHTTPTypesHTTP1 = Target.Dependency.product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras")
let argumentParser = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let configuration = Target.Dependency.product(name: "Configuration", package: "swift-configuration")
let yams = Target.Dependency.product(name: "Yams", package: "Yams")

func library(_ name: String, _ dependencies: [Target.Dependency] = []) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}
func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .testTarget(name: name, dependencies: dependencies, swiftSettings: settings)
}

let package = Package(
    name: "hsafa-gateway",
    products: [
        .executable(name: "hsafa-gateway", targets: ["hsafa-gateway"]),
        .executable(name: "hsafa", targets: ["hsafa"]),
        // For Benchmarks/, which is a package of its own.
        .library(name: "Postgres", targets: ["Postgres"]),
        .library(name: "Redis", targets: ["Redis"]),
        .library(name: "GatewayStorage", targets: ["Domain", "Storage", "JSON", "Cryptography"]),
        .library(name: "GatewayRuntime", targets: ["Runtime"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: []),
        .package(url: "https://github.com/apple/swift-http-types", from: "1.8.0", traits: []),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: [
        // System libraries (apt: libpq-dev libhiredis-dev libssl-dev libargon2-dev libpcre2-dev) and one C shim.
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        // No pkgConfig: Debian's hiredis.pc carries a flag that SwiftPM prohibits; the module map links it.
        .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "CArgon2", pkgConfig: "libargon2", providers: [.apt(["libargon2-dev"])]),
        .systemLibrary(name: "CPCRE2", pkgConfig: "libpcre2-8", providers: [.apt(["libpcre2-dev"])]),
        .systemLibrary(name: "COpenSSL", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .target(name: "CLinux"),

        // Drivers and libraries: they know nothing of gateways.
        library("JSON"),
        library("JSONSchema", ["JSON", "CPCRE2"]),
        library("Cryptography", ["COpenSSL"]),
        library("Argon2", ["CArgon2", "CLinux"]),
        library("Postgres", ["CLibPQ", "CLinux", logging]),
        library("Redis", ["CHiredis", nioCore, nioPosix, nioSSL, logging]),
        library("ServerSentEvents", [nioCore]),
        library("MCP", ["JSON", "Cryptography", "ServerSentEvents", httpClient, nioCore, nioHTTP1, logging]),
        library("ModelProviders", ["JSON", "ServerSentEvents", httpClient, nioCore, nioPosix, nioHTTP1, logging]),

        // The street: each imports only what stands before it.
        library("Domain", ["JSON", "JSONSchema", "Cryptography", "CLinux"]),
        library("Storage", ["Domain", "JSON", "Postgres", "Redis", "Cryptography", nioCore, logging]),
        library(
            "Runtime",
            [
                "Storage", "Domain", "JSON", "Postgres", "Redis", "Argon2", "Cryptography", "ModelProviders", "MCP", "CLinux",
                nioCore, nioPosix, nioHTTP1, lifecycle, logging, httpClient, yams,
            ]),
        library(
            "GatewayHTTP",
            [
                "Runtime", "Storage", "Postgres", "Domain", "JSON", "Cryptography", hummingbird, hummingbirdCore, httpTypes, nioHTTPTypes,
                nioHTTPTypesHTTP1, nioCore, nioPosix, nioHTTP1, nioWebSocket, nioTLS, nioSSL, lifecycle, logging,
            ]),
        .executableTarget(
            name: "hsafa-gateway",
            dependencies: [
                "GatewayHTTP", "Runtime", "Storage", "Domain", "JSON", "Postgres", "Redis", "Argon2", "Cryptography",
                "ModelProviders", argumentParser, configuration, lifecycle, unixSignals, logging, nioCore, nioPosix,
            ], swiftSettings: settings),
        library("HsafaClient", ["JSON", "Cryptography", httpClient, nioCore, nioPosix, nioHTTP1, nioWebSocket, nioSSL, logging]),
        .executableTarget(
            name: "hsafa", dependencies: ["HsafaClient", "Domain", "JSON", "Cryptography", argumentParser, nioCore, nioPosix, logging],
            swiftSettings: settings),

        // Tests: against real servers, which scripts/test.sh starts and stops.
        .target(
            name: "TestSupport",
            dependencies: [
                "Postgres", "Redis", "Storage", "Domain", "JSON", "Cryptography", "Argon2", nioCore, nioPosix, logging,
            ], path: "Tests/Support", swiftSettings: settings),
        .target(name: "CSpawn", path: "Tests/CSpawn"),
        .target(
            name: "TestServers", dependencies: ["CSpawn", nioCore, nioPosix, nioHTTP1, nioSSL], path: "Tests/Servers",
            swiftSettings: settings),
        .target(
            name: "TestContract", dependencies: ["HsafaClient", "JSON", "JSONSchema", nioHTTP1, yams], path: "Tests/Contract",
            swiftSettings: settings),
        tests("ContractTests", ["TestContract", "JSON"]),
        tests("JSONTests", ["JSON"]),
        tests("JSONSchemaTests", ["JSONSchema", "JSON"]),
        tests("CryptographyTests", ["Cryptography"]),
        tests("Argon2Tests", ["Argon2", "CLinux"]),
        tests("PostgresTests", ["TestServers", "Postgres", "CLinux", logging]),
        tests("RedisTests", ["TestServers", "Redis", nioCore, nioPosix, nioSSL, logging]),
        tests(
            "MCPTests", ["MCP", "JSON", "TestServers", httpClient, nioCore, nioPosix, nioHTTP1, logging]),
        tests("ModelProviderTests", ["ModelProviders", "ServerSentEvents", "JSON", httpClient, nioCore, nioPosix, nioHTTP1, logging]),
        tests("DomainTests", ["Domain", "JSON", "Cryptography"]),
        tests("StorageTests", ["TestSupport", "Storage", "Domain", "JSON", "Postgres", "Redis", "Cryptography", logging]),
        tests(
            "RuntimeTests",
            [
                "TestContract", "TestServers", "TestSupport", "Runtime", "Storage", "Domain", "JSON", "JSONSchema", "Postgres", "Redis",
                "Argon2",
                "Cryptography", "ModelProviders", "MCP", lifecycle, logging, nioCore, nioPosix, nioSSL, httpClient,
            ]),
        tests(
            "HTTPTests",
            [
                "TestContract", "TestServers", "TestSupport", "GatewayHTTP", "Runtime", "Storage", "Domain", "JSON", "Postgres", "Redis",
                "Argon2",
                "Cryptography",
                "HsafaClient", lifecycle, logging, nioCore, nioPosix, nioHTTP1, nioEmbedded, nioWebSocket, nioSSL, httpClient, hummingbird,
                httpTypes,
            ]),
        tests(
            "EndToEndTests",
            [
                "TestContract", "TestServers", "TestSupport", "HsafaClient", "Storage", "Domain", "JSON", "Postgres", "Redis",
                "Cryptography", logging, nioCore, nioPosix, nioHTTP1,
            ]),
        tests("TidyTests", ["TestServers", yams]),
    ]
)
