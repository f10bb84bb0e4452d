// HTTP/2's load generator: nghttp2's h2load (Debian: nghttp2-client), one thread, on this process's processor and in its namespace. A client of our
// own would have to bring HPACK and flow control, and nobody would believe it. Closed loop, connections that stay.
using System.Diagnostics;
using System.Globalization;

namespace Peregrine.Bench.Load;

internal static class Http2Load
{
    private const string Program = "h2load";

    /// <summary>Warms up and measures.</summary>
    /// <param name="work">The work: connections, streams of each, times.</param>
    /// <param name="address">The server's.</param>
    /// <param name="onMeasure">Called when the measured time begins.</param>
    /// <exception cref="IOException">The program is missing, or had no answers.</exception>
    internal static LoadResult Run(BenchWork work, string address, Action onMeasure)
    {
        var log = Path.Combine(Path.GetTempPath(), $"peregrine-h2load-{Environment.ProcessId}");
        File.Delete(log);
        try
        {
            var (lines, cpu) = RunProgram(Arguments(work, address, log), onMeasure);
            return Read(lines, log, work.Seconds) with { ClientCpuSeconds = cpu };
        }
        finally
        {
            File.Delete(log);
        }
    }

    internal static string[] Arguments(BenchWork work, string address, string log)
    {
        static string Milliseconds(double seconds) => string.Create(CultureInfo.InvariantCulture, $"{seconds * 1e3:0}ms");
        return
        [
            "--threads=1", $"--clients={work.Connections}", $"--max-concurrent-streams={work.Pipeline}", $"--duration={Milliseconds(work.Seconds)}",
            // Without any, h2load does not say when it begins.
            $"--warm-up-time={Milliseconds(Math.Max(work.WarmUpSeconds, 0.1))}", $"--log-file={log}", $"http://{address}:{Services.Http2}{(work.Json ? Services.JsonPath : "/")}",
        ];
    }

    /// <summary>What the program's summary and its file of requests come to.</summary>
    /// <exception cref="IOException">There was no answer.</exception>
    internal static LoadResult Read(IReadOnlyList<string> lines, string log, double seconds)
    {
        // requests: 9 total, 9 started, 9 done, 9 succeeded, 0 failed, 0 errored, 0 timeout
        const string Prefix = "requests: ";
        var counts = lines.FirstOrDefault(static line => line.StartsWith(Prefix, StringComparison.Ordinal))?[Prefix.Length..].Split(", ")
            .Select(static part => part.Split(' ')).ToDictionary(static part => part[1], static part => long.Parse(part[0], CultureInfo.InvariantCulture));
        if (counts == null || counts["succeeded"] == 0) throw new IOException($"{Program} had no answer: {string.Join(' ', lines.Take(20))}");
        var latencies = new Latencies();
        foreach (var line in File.ReadLines(log))
        {
            // When it began, its status, microseconds until its end.
            var fields = line.Split('\t');
            if (fields is [_, "200", var duration]) latencies.Add(long.Parse(duration, CultureInfo.InvariantCulture) * 1_000);
        }
        return new LoadResult { Seconds = seconds, Operations = counts["succeeded"], Errors = counts["failed"] + counts["errored"] + counts["timeout"], Latency = latencies.Summary() };
    }

    private static (List<string> Lines, double CpuSeconds) RunProgram(string[] arguments, Action onMeasure)
    {
        Process process;
        try
        {
            process = Process.Start(new ProcessStartInfo(Program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            throw new IOException($"{Program} is missing: apt-get install nghttp2-client");
        }
        using (process)
        {
            process.ErrorDataReceived += static (_, _) => { };
            process.BeginErrorReadLine();
            var lines = new List<string>();
            double before = 0, cpu = 0;
            while (process.StandardOutput.ReadLine() is { } line)
            {
                lines.Add(line);
                if (line.StartsWith("Main benchmark duration is started", StringComparison.Ordinal))
                {
                    before = Cpu(process.Id);
                    onMeasure();
                }
                else if (line.StartsWith("Main benchmark duration is over", StringComparison.Ordinal))
                {
                    cpu = Cpu(process.Id) - before;
                }
            }
            process.WaitForExit();
            return (lines, cpu);
        }
    }

    private static double Cpu(int process) => Clock.ProcessCpuSeconds(process);
}
