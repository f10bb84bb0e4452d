// The demonstration itself: site up, a few visits, the frames of each, counters, a verdict. It knows no difference between the worlds.
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;
using Peregrine.AspNetCore;
using Peregrine.Core.Links;
using Peregrine.Core.Tcp;
using Spectre.Console;

namespace Peregrine.Cli.Demo;

internal sealed class Demonstration(DemoWorld world)
{
    private const int HttpPort = 80;
    private const int HttpsPort = 443;
    private const int BytesFetched = 4 * 1024 * 1024;
    private const int LinesPerVisit = 12;
    private const int CaptureBytesMax = 32 * 1024 * 1024;

    private readonly CaptureBuffer _capture = new(CaptureBytesMax);
    private readonly List<ClientOutcome> _outcomes = [];
    private TracingLink _link = null!;
    private PeregrineNetwork _network = null!;
    private int _shown;
    private ulong _firstNs;

    /// <summary>Runs it all. 0 when every visit went as it should.</summary>
    internal async Task<int> RunAsync(bool stay, FileInfo? write, CancellationToken cancel)
    {
        var watch = Stopwatch.StartNew();
        _link = new TracingLink(world.Link, _ => _capture, FrameLines.UnixNanoseconds);
        using var certificate = DemoSite.CreateCertificate([IPAddress.Parse(DemoWorld.OurIPv4), IPAddress.Parse(DemoWorld.OurIPv6)]);
        var app = DemoSite.Create(HttpPort, HttpsPort, certificate, Configure);
        DemoSite.MapPages(app);
        try
        {
            await StartAsync(app, cancel).ConfigureAwait(false);
            await VisitAllAsync(certificate, cancel).ConfigureAwait(false);
            await ShowCountersAsync().ConfigureAwait(false);
            if (write != null) await WriteAsync(write, cancel).ConfigureAwait(false);
            var good = Summarise(watch.Elapsed);
            if (stay) await StayAsync(cancel).ConfigureAwait(false);
            return good ? 0 : 1;
        }
        finally
        {
            await StopAsync(app).ConfigureAwait(false);
        }
    }

    private void Configure(PeregrineHostOptions options)
    {
        options.OpenLink = () => _link;
        options.Network = options.Network with { Name = "demo", Addresses = [DemoWorld.OurIPv4 + "/24", DemoWorld.OurIPv6 + "/64"] };
    }

    private async Task StartAsync(WebApplication app, CancellationToken cancel)
    {
        Heading("Peregrine demonstration");
        Console.WriteLine("  link    " + world.Description);
        await app.StartAsync(cancel).ConfigureAwait(false);
        _network = app.Services.GetRequiredService<PeregrineHost>().Network!;
        await world.StartAsync(cancel).ConfigureAwait(false);
        Console.WriteLine($"  site    ASP.NET Core on http://{DemoWorld.OurIPv4}/ and https://{DemoWorld.OurIPv4}/, also [{DemoWorld.OurIPv6}]");
        Console.WriteLine("  frames  -> comes in, <- goes out; times since the first frame");
    }

    private async Task VisitAllAsync(X509Certificate2 certificate, CancellationToken cancel)
    {
        await VisitAsync("An echo, the address resolved before it", () => world.PingAsync(DemoWorld.OurIPv4, cancel)).ConfigureAwait(false);
        await VisitAsync("A page over HTTP", () => world.FetchAsync($"http://{DemoWorld.OurIPv4}/hello", null, cancel)).ConfigureAwait(false);
        await VisitAsync("The same over HTTPS, HTTP/2 by ALPN", () => world.FetchAsync($"https://{DemoWorld.OurIPv4}/hello", certificate, cancel)).ConfigureAwait(false);
        await VisitAsync("Over IPv6", () => world.FetchAsync($"http://[{DemoWorld.OurIPv6}]/hello", null, cancel)).ConfigureAwait(false);
        await VisitAsync("4 MiB", () => world.FetchAsync($"http://{DemoWorld.OurIPv4}/bytes/{BytesFetched}", null, cancel)).ConfigureAwait(false);
    }

    private async Task VisitAsync(string title, Func<Task<ClientOutcome>> visit)
    {
        Heading(title);
        var outcome = await visit().ConfigureAwait(false);
        _outcomes.Add(outcome);
        Console.WriteLine("$ " + outcome.Command);
        foreach (var line in outcome.Output.Split('\n')) Console.WriteLine("  " + line);
        await ShowFramesAsync().ConfigureAwait(false);
    }

    private async Task ShowFramesAsync()
    {
        var frames = FrameLines.Read(await SnapshotAsync().ConfigureAwait(false));
        var fresh = frames.Skip(_shown).ToList();
        if (fresh.Count == 0) return;
        if (_firstNs == 0) _firstNs = fresh[0].TimeNs;
        _shown = frames.Count;
        // The beginning and the end of a conversation say most.
        var head = fresh.Count <= LinesPerVisit ? fresh.Count : LinesPerVisit - 4;
        foreach (var line in fresh.Take(head)) ShowFrame(line);
        if (head == fresh.Count) return;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"             ... {fresh.Count - head - 4} more ..."));
        foreach (var line in fresh.TakeLast(4)) ShowFrame(line);
    }

    private void ShowFrame(in FrameLines.Line line)
    {
        var text = FrameLines.Format(line, _firstNs);
        Console.WriteLine(text.Length <= 168 ? text : text[..165] + "...");
    }

    /// <summary>The capture so far, taken on the core's thread, which writes it.</summary>
    private Task<byte[]> SnapshotAsync() => _network.Engine.RunAsync(() =>
    {
        _link.Flush();
        return _capture.ToArray();
    });

    private async Task ShowCountersAsync()
    {
        Heading("Counters");
        var stack = _network.Engine.Stack;
        var (tcp, ip, icmp) = await _network.Engine.RunAsync(() => (stack.Tcp.Counters, stack.Ip.Counters, stack.Ip.IcmpCounters)).ConfigureAwait(false);
        var table = new Table().Border(TableBorder.Simple).AddColumns("TCP", "", "IP and ICMP", "");
        table.Columns[1].RightAligned();
        table.Columns[3].RightAligned();
        Row("connections accepted", tcp.PassiveOpens, "frames received", ip.ReceivedFrames);
        Row("segments accepted", tcp.SegmentsAccepted, "packets delivered", ip.ReceivedDelivered);
        Row("segments sent", tcp.SegmentsSent, "packets sent", ip.Sent);
        Row("bytes received", tcp.BytesReceived, "echo requests answered", icmp.ReceivedEchoRequests);
        Row("bytes sent", tcp.BytesSent, "ICMP errors received", icmp.ReceivedErrors);
        Row("retransmitted", tcp.SegmentsRetransmitted, "malformed, dropped", ip.DroppedMalformed);
        Row("resets sent", tcp.ResetsSent, "bad header checksum, dropped", ip.DroppedHeaderChecksum);
        AnsiConsole.Write(table);
        return;

        void Row(string left, long leftValue, string right, long rightValue) =>
            table.AddRow(left, leftValue.ToString("N0", CultureInfo.InvariantCulture), right, rightValue.ToString("N0", CultureInfo.InvariantCulture));
    }

    private async Task WriteAsync(FileInfo file, CancellationToken cancel)
    {
        await File.WriteAllBytesAsync(file.FullName, await SnapshotAsync().ConfigureAwait(false), cancel).ConfigureAwait(false);
        Console.WriteLine($"  {_shown} frames written to {file.FullName}");
    }

    private bool Summarise(TimeSpan elapsed)
    {
        Heading("Summary");
        foreach (var outcome in _outcomes)
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  {(outcome.Good ? "ok    " : "FAILED")} {outcome.Milliseconds,8:F1} ms  {outcome.Command}"));
        var good = _outcomes.TrueForAll(static o => o.Good);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"  {_outcomes.Count(static o => o.Good)} of {_outcomes.Count} visits served by a TCP/IP stack in user space, {_shown} frames, {elapsed.TotalSeconds:F1} s"));
        return good;
    }

    private async Task StayAsync(CancellationToken cancel)
    {
        Heading("The site stays up; Ctrl-C ends it. From another terminal:");
        foreach (var line in world.HowToReach(HttpPort, HttpsPort)) Console.WriteLine("  " + line);
        try
        {
            await Task.Delay(Timeout.Infinite, cancel).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // That is how it ends.
        }
    }

    private static async Task StopAsync(WebApplication app)
    {
        await app.StopAsync(CancellationToken.None).ConfigureAwait(false);
        await app.DisposeAsync().ConfigureAwait(false);
    }

    private static void Heading(string text) => Console.WriteLine("\n== " + text);
}
