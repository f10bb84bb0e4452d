// "peregrine demo links": the same page over every kind of link that this machine has, one after the other, and a table of what came of it.
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http;
using System.Net.Sockets;
using Peregrine.Cli.Commands;
using Peregrine.Core.Links;
using Peregrine.Drivers;
using Spectre.Console;

namespace Peregrine.Cli.Demo;

internal static class LinksDemonstration
{
    private const int Port = 80, ClientCount = 8;
    private const string Greeting = "Hello from ASP.NET Core over Peregrine";

    private static readonly TimeSpan s_load = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(15);

    /// <summary>Shows all; 0 when each link that the machine offers has carried the page.</summary>
    internal static async Task<int> RunAsync(CancellationToken cancel)
    {
        using var places = new LinkPlaces();
        var offers = places.Site.Run(LinkKinds.Probe);
        var table = new Table().Border(TableBorder.Simple);
        table.AddColumns("link", "mode", "offloads", "page", "requests/s");
        var failed = 0;
        var missing = new List<string>();
        foreach (var show in LinkShow.All)
        {
            cancel.ThrowIfCancellationRequested();
            var offer = offers.FirstOrDefault(o => o.Kind == show.Kind && o.IsAvailable) ?? offers.First(o => o.Kind == show.Kind);
            if (!offer.IsAvailable)
            {
                Row(show.Line, "not available", "", offer.Reason ?? "", "");
                missing.Add($"{show.Kind} ({offer.Reason})");
                continue;
            }
            try
            {
                var (offloads, client, rate) = await ShowAsync(show, places, cancel).ConfigureAwait(false);
                Row(show.Line, offer.Mode, LinksCommand.Words(offloads), "fetched by " + client, rate.ToString("N0", CultureInfo.InvariantCulture));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or HttpRequestException or ArgumentException or InvalidOperationException
                or OperationCanceledException && !cancel.IsCancellationRequested)
            {
                failed++;
                Row(show.Line, offer.Mode, "", "FAILED: " + e.Message, "");
            }
        }
        AnsiConsole.Write(table);
        foreach (var kind in LinkKinds.All.Where(static k => k.Name != "auto" && LinkShow.All.All(show => show.Kind != k.Name)))
            Console.WriteLine($"{kind.Form} is not shown here: 'peregrine links {kind.Name}' tells about it.");
        var rest = missing.Count == 0 ? "" : $" Not offered, and so not tried: {string.Join("; ", missing)}.";
        Console.WriteLine((failed == 0 ? "Every link that this machine offers has carried the page." : $"{failed} of the links that this machine offers did not carry the page.") + rest);
        return failed == 0 ? 0 : 1;

        void Row(params string[] cells) => table.AddRow([.. cells.Select(Markup.Escape)]);
    }

    private static async Task<(LinkOffloads Offloads, string Client, double Rate)> ShowAsync(LinkShow show, LinkPlaces places, CancellationToken cancel)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        patience.CancelAfter(s_patience);
        var (ours, theirs) = show.Open(places, show.Line);
        var peer = default(PeregrineNetwork);
        try
        {
            var network = new PeregrineOptions { Name = "show", Addresses = [DemoWorld.OurIPv4 + "/24"], ControlSocket = "none" };
            await using var site = DemoSite.Create(Port, 0, null, host => (host.OpenLink, host.Network) = (() => ours, network));
            DemoSite.MapPages(site);
            await site.StartAsync(patience.Token).ConfigureAwait(false);
            if (theirs is not null)
            {
                var options = new PeregrineOptions { Name = "show-client", Addresses = [DemoWorld.TheirIPv4 + "/24"], ControlSocket = "none" };
                peer = await PeregrineNetwork.StartAsync(options, theirs, cancel: patience.Token, platform: new LinuxPlatform()).ConfigureAwait(false);
            }
            var space = show.IsTap ? places.TapSite : places.Client;
            using var handler = peer is not null ? new SocketsHttpHandler { ConnectCallback = peer.ConnectAsync, UseProxy = false } : KernelHandler(space);
            using var http = new HttpClient(handler) { Timeout = TimeSpan.FromSeconds(5) };
            // A link of two processes comes up when both are there, and both addresses are probed for a moment.
            var text = peer is null ? await CurlAsync(space, patience.Token).ConfigureAwait(false) : await WebFetch.FirstAsync(http, new Uri(Url("/hello")), patience.Token).ConfigureAwait(false);
            if (!text.StartsWith(Greeting, StringComparison.Ordinal)) throw new IOException("another page came: " + text);
            return (ours.Offloads, peer is null ? "curl over the kernel" : "a second Peregrine", await LoadAsync(http, patience.Token).ConfigureAwait(false));
        }
        finally
        {
            if (peer is not null) await peer.DisposeAsync().ConfigureAwait(false);
            theirs?.Dispose();
            ours.Dispose();
        }
    }

    private static string Url(string path) => $"http://{DemoWorld.OurIPv4}:{Port}{path}";

    private static async Task<string> CurlAsync(NetworkNamespace space, CancellationToken cancel)
    {
        var start = new ProcessStartInfo("curl", ["-sS", "--noproxy", "*", "--max-time", "8", "--retry", "5", "--retry-connrefused", Url("/hello")]) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = space.Run(() => Process.Start(start)) ?? throw new IOException("curl does not start");
        var output = process.StandardOutput.ReadToEndAsync(cancel);
        var errors = process.StandardError.ReadToEndAsync(cancel);
        await process.WaitForExitAsync(cancel).ConfigureAwait(false);
        return process.ExitCode == 0 ? await output.ConfigureAwait(false) : throw new IOException((await errors.ConfigureAwait(false)).Trim());
    }

    /// <summary>Requests a second of a few clients, each with one connection.</summary>
    private static async Task<double> LoadAsync(HttpClient http, CancellationToken cancel)
    {
        var watch = Stopwatch.StartNew();
        var counts = await Task.WhenAll(Enumerable.Range(0, ClientCount).Select(_ => Task.Run(async () =>
        {
            var count = 0;
            for (; watch.Elapsed < s_load; count++) await http.GetByteArrayAsync(new Uri(Url("/hello")), cancel).ConfigureAwait(false);
            return count;
        }, cancel))).ConfigureAwait(false);
        return counts.Sum() / watch.Elapsed.TotalSeconds;
    }

    private static SocketsHttpHandler KernelHandler(NetworkNamespace space) => new()
    {
        UseProxy = false,
        ConnectCallback = async (context, stop) =>
        {
            var address = IPAddress.Parse(context.DnsEndPoint.Host);
            // A socket belongs to the namespace of the thread that makes it.
            var socket = space.Run(() => new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true });
            await socket.ConnectAsync(address, context.DnsEndPoint.Port, stop).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        },
    };
}
