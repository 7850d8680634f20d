/// Everything of an answer by which what is there could be told from what is not: two that should be the same are compared by it.
struct SeenAnswer: Equatable {
    let status: Int
    let body: String
    let headers: [String]

    init(_ answer: Answer) {
        status = answer.status
        body = answer.text
        // Whether a connection is kept depends on how much of a body had come.
        let varying: Set<String> = ["date", "ratelimit", "content-length", "connection"]
        headers = answer.headers.filter { !varying.contains($0.name.lowercased()) }.map { "\($0.name.lowercased()): \($0.value)" }
            .sorted()
    }
}
