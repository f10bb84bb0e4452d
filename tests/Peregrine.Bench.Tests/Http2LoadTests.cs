// What h2load is asked and what is taken from its answer. That it measures is for the machine that has it; this is text.
using Peregrine.Bench.Load;

namespace Peregrine.Bench.Tests;

public sealed class Http2LoadTests
{
    private static readonly string[] s_summary =
    [
        "starting benchmark...", "Main benchmark duration is started for thread #0.", "finished in 2.20s, 3.00 req/s, 1KB/s",
        "requests: 4 total, 4 started, 4 done, 3 succeeded, 1 failed, 0 errored, 0 timeout", "status codes: 3 2xx, 0 3xx, 0 4xx, 1 5xx",
    ];

    [Fact]
    public void AWorkBecomesH2loadsOptions()
    {
        var work = new BenchWork { Kind = WorkKind.Http, Kestrel = true, Http2 = true, Connections = 8, Pipeline = 16, Seconds = 1.5, WarmUpSeconds = 0.25 };
        Assert.EndsWith(":82/json", Http2Load.Arguments(work with { Json = true }, "192.0.2.2", "/tmp/log")[^1], StringComparison.Ordinal);
        Assert.Equal(
            ["--threads=1", "--clients=8", "--max-concurrent-streams=16", "--duration=1500ms", "--warm-up-time=250ms", "--log-file=/tmp/log", "http://192.0.2.2:82/"],
            Http2Load.Arguments(work, "192.0.2.2", "/tmp/log"));
    }

    [Fact]
    public void ItsSummaryAndItsRequestsBecomeAResult()
    {
        using var log = new TemporaryFile("1795644762573394\t500\t90000\n1795644762573581\t200\t150\n1795644762573582\t200\t160\n1795644762573583\t200\t4000\n");
        var result = Http2Load.Read(s_summary, log.Path, 1.5);
        Assert.Equal((1.5, 3L, 1L), (result.Seconds, result.Operations, result.Errors));
        // Three digits of a histogram.
        Assert.InRange(result.Latency["p50"], 159_000, 161_000);
        Assert.InRange(result.Latency["max"], 3_990_000, 4_010_000);
    }

    [Fact]
    public void AServerThatDoesNotAnswerIsAnError()
    {
        using var log = new TemporaryFile("");
        var error = Assert.Throws<IOException>(() => Http2Load.Read(["requests: 4 total, 4 started, 0 done, 0 succeeded, 4 failed, 4 errored, 0 timeout"], log.Path, 1));
        Assert.StartsWith("h2load had no answer: requests: 4 total", error.Message, StringComparison.Ordinal);
        Assert.Throws<IOException>(() => Http2Load.Read([], log.Path, 1));
    }

    private sealed class TemporaryFile : IDisposable
    {
        internal TemporaryFile(string text) => File.WriteAllText(Path, text);

        internal string Path { get; } = System.IO.Path.Combine(Directory.CreateTempSubdirectory("peregrine-test-").FullName, "log");

        public void Dispose() => Directory.Delete(System.IO.Path.GetDirectoryName(Path)!, recursive: true);
    }
}
