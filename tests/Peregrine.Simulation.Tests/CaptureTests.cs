// Wireshark opens what a replay writes, with virtual times and the links' names.
using System.Diagnostics;
using System.Globalization;
using Peregrine.Core.Time;
using Peregrine.Simulation.Links;
using Peregrine.Simulation.Swarm;
using Peregrine.Simulation.Trace;

namespace Peregrine.Simulation.Tests;

public sealed class CaptureTests
{
    [Fact]
    public void WiresharkReadsAReplayWithItsVirtualTimes()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/tshark"), "tshark is not installed");
        var path = Path.GetTempFileName();
        try
        {
            var seen = new List<string>();
            using (var capture = new FrameCapture(File.Create(path), "seed 3"))
                SwarmRun.Run(3, new SwarmOptions { Faults = SwarmFaults.Loss | SwarmFaults.Reordering, FlowCountMax = 3 }, observer: new Both(capture, seen));
            Assert.True(seen.Count > 100, $"{seen.Count} frames");
            var lines = Tshark("-n", "-r", path, "-T", "fields", "-E", "separator=/s", "-e", "frame.time_epoch", "-e", "frame.interface_name", "-e", "_ws.malformed");
            Assert.Equal(seen, lines.Select(static line => line.TrimEnd()));
        }
        finally
        {
            File.Delete(path);
        }
    }

    private static string[] Tshark(params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo("/usr/bin/tshark", arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        process.ErrorDataReceived += static (_, _) => { };
        process.BeginErrorReadLine();
        var lines = process.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
        return lines;
    }

    private sealed class Both(FrameCapture capture, List<string> seen) : IFrameObserver
    {
        public void OnFrame(Instant time, LinkLane lane, ReadOnlySpan<byte> frame, FrameFate fate)
        {
            capture.OnFrame(time, lane, frame, fate);
            seen.Add(string.Create(CultureInfo.InvariantCulture, $"{time.Nanoseconds / 1_000_000_000}.{time.Nanoseconds % 1_000_000_000:D9} {lane.Link.Name}"));
        }
    }
}
