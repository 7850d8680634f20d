// swift-tools-version:6.2
import PackageDescription

let package = Package(
    name: "hsafa-bench",
    dependencies: [
        .package(name: "hsafa-gateway", path: ".."),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        // What Swift's Glibc leaves out.
        .systemLibrary(name: "CLibc"),
        .executableTarget(
            name: "hsafa-bench",
            dependencies: [
                "CLibc",
                .product(name: "Postgres", package: "hsafa-gateway"),
                .product(name: "Redis", package: "hsafa-gateway"),
                .product(name: "GatewayStorage", package: "hsafa-gateway"),
                .product(name: "GatewayRuntime", package: "hsafa-gateway"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ],
            swiftSettings: [
                .treatAllWarnings(as: .error),
                .swiftLanguageMode(.v6),
                .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("MemberImportVisibility"),
                .enableUpcomingFeature("InternalImportsByDefault"),
                // The load generator is one thread with one epoll: the main actor's. What runs elsewhere says so.
                .defaultIsolation(MainActor.self),
            ]),
    ]
)
