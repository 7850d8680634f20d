import ArgumentParser
import FoundationEssentials
import Glibc
import HsafaClient

/// Which gateway, with which key: flags, then the environment, then `.hsafa/credentials`.
struct ConnectionOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The gateway, e.g. https://gateway.example.com. Default: HSAFA_URL, .hsafa/credentials, http://127.0.0.1:3000."))
    var url: String?

    @Option(
        help: ArgumentHelp("A tenant's key, hsk_…; others on this machine can see flags, so prefer HSAFA_API_KEY or .hsafa/credentials."))
    var apiKey: String?

    struct Resolved {
        var url: String
        var apiKey: String?
    }

    static let defaultURL = "http://127.0.0.1:3000"

    func resolve() throws -> Resolved {
        let url = url ?? Environment["HSAFA_URL"]
        let key = apiKey ?? Environment["HSAFA_API_KEY"]
        if let url, let key { return Resolved(url: url, apiKey: key) }
        let file = try CredentialsFile.find()
        // The file's two values belong together: its key goes to its own URL only, and a key from elsewhere is never sent to a URL that
        // happens to lie in a folder.
        switch (url, key) {
        case (let url?, _): return Resolved(url: url, apiKey: file.flatMap { Self.same($0.url, url) ? $0.apiKey : nil })
        case (nil, let key?): return Resolved(url: Self.defaultURL, apiKey: key)
        case (nil, nil): return Resolved(url: file?.url ?? Self.defaultURL, apiKey: file?.apiKey)
        }
    }

    /// - Parameter sendsKey: false for what needs no key, where a stale one could only do harm.
    func withClient<Result>(sendsKey: Bool = true, _ body: (HsafaClient) async throws -> Result) async throws -> Result {
        let connection = try resolve()
        let client = HsafaClient(
            baseURL: connection.url, apiKey: sendsKey ? connection.apiKey : nil, httpClient: HsafaClient.makeHTTPClient())
        do {
            let result = try await body(client)
            await client.shutdown()
            return result
        } catch {
            await client.shutdown()
            throw error
        }
    }

    private static func same(_ one: String?, _ other: String) -> Bool {
        func bare(_ url: String) -> Substring {
            var rest = url[...]
            while rest.last == "/" { rest.removeLast() }
            return rest
        }
        return bare(one ?? defaultURL) == bare(other)
    }
}

struct CredentialsFile {
    var url: String?
    var apiKey: String?

    /// The nearest one, from the current folder upwards.
    static func find() throws -> CredentialsFile? {
        var folder = FileManager.default.currentDirectoryPath[...]
        while true {
            let path = folder + "/.hsafa/credentials"
            if let bytes = try PrivateFile.readIfPresent(String(path), maxBytes: 64 * 1024) {
                guard isTrusted(String(path)) else {
                    Terminal.error.line("Ignoring \(path): it belongs to another user.")
                    return nil
                }
                return try parse(bytes, path: String(path))
            }
            guard let slash = folder.lastIndex(of: "/") else { return nil }
            folder = folder[..<slash]
        }
    }

    /// A folder of somebody else, say under /tmp, must not choose the gateway for this user.
    private static func isTrusted(_ path: String) -> Bool {
        var information = stat()
        guard stat(path, &information) == 0 else { return false }
        return information.st_uid == geteuid() || information.st_uid == 0 || geteuid() == 0
    }

    static func parse(_ bytes: [UInt8], path: String) throws -> CredentialsFile {
        var file = CredentialsFile()
        for (index, line) in String(decoding: bytes, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let text = line.trimmingPrefix { $0.isWhitespace }
            if text.isEmpty || text.hasPrefix("#") { continue }
            guard let equals = text.firstIndex(of: "=") else { throw Failure("\(path):\(index + 1): not a KEY=VALUE line") }
            var value = text[text.index(after: equals)...]
            while value.last?.isWhitespace == true { value.removeLast() }
            switch text[..<equals] {
            case "HSAFA_URL": file.url = String(value)
            case "HSAFA_API_KEY": file.apiKey = String(value)
            default: continue
            }
        }
        return file
    }
}
