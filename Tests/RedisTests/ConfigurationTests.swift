import Testing

@testable import Redis

@Suite("Redis URLs")
struct ConfigurationTests {
    @Test("a full URL gives user, password, host, port and database")
    func full() throws {
        let configuration = try RedisConfiguration(url: "redis://app:p%40ss%2F%3A@redis.example:6380/3")
        #expect(configuration.endpoint == .host("redis.example", port: 6380))
        #expect(configuration.username == "app")
        #expect(configuration.password == "p@ss/:")
        #expect(configuration.database == 3)
        #expect(!configuration.usesTLS)
    }

    @Test("port and database have their defaults and rediss means TLS")
    func defaults() throws {
        let configuration = try RedisConfiguration(url: "rediss://:secret@localhost")
        #expect(configuration.endpoint == .host("localhost", port: 6379))
        #expect(configuration.username == nil)
        #expect(configuration.password == "secret")
        #expect(configuration.database == 0)
        #expect(configuration.usesTLS)
        #expect(try RedisConfiguration(url: "redis://[::1]:7000/").endpoint == .host("::1", port: 7000))
    }

    @Test("a unix URL gives the path and the database")
    func unix() throws {
        let configuration = try RedisConfiguration(url: "unix:///run/redis%20one/redis.sock?db=2")
        #expect(configuration.endpoint == .unixSocket("/run/redis one/redis.sock"))
        #expect(configuration.database == 2)
        #expect(try RedisConfiguration(url: "unix://u:p@/run/redis.sock").username == "u")
    }

    @Test(
        "a URL that cannot be used says which part is wrong",
        arguments: [
            ("localhost:6379", "must begin with"), ("http://localhost", "scheme"), ("redis://", "host is missing"),
            ("redis://localhost:70000", "port"), ("redis://localhost:0", "port"), ("redis://localhost:x", "port"),
            ("redis://localhost/x", "database"), ("redis://localhost/-1", "database"), ("redis://user@localhost", "without a password"),
            ("redis://:a#b@localhost", "%23"), ("redis://:%zz@localhost", "password"), ("redis://:%ff@localhost", "UTF-8"),
            ("redis://user:@localhost", "password is empty"), ("redis://[::1", "]"),
            ("redis://localhost?timeout=3", "only query parameter"),
            ("unix://run/redis.sock", "absolute path"), ("unix://", "path"),
        ])
    func invalid(url: String, part: String) {
        let error = #expect(throws: RedisError.self) { try RedisConfiguration(url: url) }
        #expect(error?.code == .configuration)
        #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
    }

    @Test("no description shows the password")
    func descriptions() throws {
        let configuration = try RedisConfiguration(url: "redis://app:hunter2@localhost:6379/1")
        var dumped = ""
        dump(configuration, to: &dumped)
        for text in ["\(configuration)", String(reflecting: configuration), dumped] { #expect(!text.contains("hunter2"), "\(text)") }
        #expect("\(configuration)" == "redis://localhost:6379/1")
        let error = #expect(throws: RedisError.self) { try RedisConfiguration(url: "redis://app:hunter2@localhost:bad") }
        #expect(error?.description.contains("hunter2") == false)
    }

    @Test("pauses between reconnects double up to their bound and are partly random")
    func backoff() {
        var backoff = Backoff(minimumMilliseconds: 100, maximumMilliseconds: 1_000)
        for upper in [100, 200, 400, 800, 1_000, 1_000] {
            #expect((upper / 2...upper).contains(backoff.nextMilliseconds()))
        }
        backoff.reset()
        #expect(backoff.nextMilliseconds() <= 100)
        for _ in 0..<100 { #expect(backoff.nextMilliseconds() <= 1_000) }
    }
}
