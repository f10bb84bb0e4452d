// The kernel as the other side: a network namespace that only this process knows, a TAP device in it, curl and ping as clients.
using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.NetworkInformation;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using Peregrine.Core.Links;
using Peregrine.Drivers;
using Peregrine.Wire;

namespace Peregrine.Cli.Demo;

internal sealed class KernelWorld : DemoWorld
{
    private readonly NetworkNamespace _space;
    private readonly string _folder;
    private readonly bool _inUserNamespace;
    private string? _trustFile;

    private KernelWorld(NetworkNamespace space, ILink link, bool inUserNamespace)
    {
        (_space, Link, _inUserNamespace) = (space, link, inUserNamespace);
        _folder = Directory.CreateTempSubdirectory("peregrine-demo-").FullName;
    }

    internal override string Description =>
        "TAP device in a network namespace of its own" + (_inUserNamespace ? " (in a user namespace: no root needed)" : "") + "; the kernel's TCP is the client";

    internal override ILink Link { get; }

    /// <summary>Makes the namespace and the link.</summary>
    /// <exception cref="UnauthorizedAccessException">It is not permitted.</exception>
    /// <exception cref="IOException">The kernel has no TAP devices, or refused.</exception>
    internal static KernelWorld Create(bool inUserNamespace)
    {
        var space = NetworkNamespace.Create();
        try
        {
            var options = new TapOptions { KernelAddresses = [IpPrefix.Parse(TheirIPv4 + "/24"), IpPrefix.Parse(TheirIPv6 + "/64")], BringUp = true };
            return new KernelWorld(space, space.Run(() => (ILink)TapLink.Open("peregrine0", options)), inUserNamespace);
        }
        catch
        {
            space.Dispose();
            throw;
        }
    }

    internal override async Task<ClientOutcome> PingAsync(string address, CancellationToken cancel)
    {
        var watch = Stopwatch.StartNew();
        // A socket belongs to the namespace of the thread that makes it, so the whole call runs in there.
        var reply = await Task.Run(() => _space.Run(() =>
        {
            using var ping = new Ping();
            return ping.Send(IPAddress.Parse(address), 2_000, new byte[56]);
        }), cancel).ConfigureAwait(false);
        var good = reply.Status == IPStatus.Success;
        return new ClientOutcome("ping " + address, good, good ? $"{reply.Buffer.Length} bytes back" : reply.Status.ToString(), watch.Elapsed.TotalMilliseconds);
    }

    internal override async Task<ClientOutcome> FetchAsync(string url, X509Certificate2? trusted, CancellationToken cancel)
    {
        var arguments = new List<string> { "-sS", "--noproxy", "*", "--max-time", "8", "-w", "HTTP/%{http_version} %{http_code}, %{size_download} bytes" };
        if (trusted != null) arguments.AddRange(["--cacert", await TrustFileAsync(trusted, cancel).ConfigureAwait(false)]);
        var isText = !url.Contains("/bytes/", StringComparison.Ordinal);
        if (!isText) arguments.AddRange(["-o", "/dev/null"]);
        arguments.Add(url);
        var shown = "curl " + (trusted != null ? "--cacert demo.pem " : "") + url;
        var watch = Stopwatch.StartNew();
        try
        {
            var (status, output, errors) = await RunAsync("curl", arguments, cancel).ConfigureAwait(false);
            var text = (status == 0 ? output : errors).Trim();
            return new ClientOutcome(shown, status == 0 && text.Contains(" 200,", StringComparison.Ordinal), text, watch.Elapsed.TotalMilliseconds);
        }
        catch (System.ComponentModel.Win32Exception)
        {
            // No curl here: the run time's client does as well, over the same kernel sockets.
            return await FetchWithoutCurlAsync(url, trusted, cancel).ConfigureAwait(false);
        }
    }

    internal override IEnumerable<string> HowToReach(int httpPort, int httpsPort)
    {
        var user = _inUserNamespace ? $"--user=/proc/{Environment.ProcessId}/ns/user --preserve-credentials " : "";
        var enter = $"nsenter {user}--net={_space.Path} ";
        yield return enter + $"curl http://{OurIPv4}:{httpPort}/";
        yield return enter + $"curl -k https://{OurIPv4}:{httpsPort}/hello";
        yield return enter + $"ping {OurIPv4}";
        yield return "peregrine stats demo";
    }

    public override ValueTask DisposeAsync()
    {
        Link.Dispose();
        _space.Dispose();
        Directory.Delete(_folder, recursive: true);
        return ValueTask.CompletedTask;
    }

    private async Task<string> TrustFileAsync(X509Certificate2 trusted, CancellationToken cancel)
    {
        if (_trustFile != null) return _trustFile;
        var path = Path.Combine(_folder, "demo.pem");
        await File.WriteAllTextAsync(path, trusted.ExportCertificatePem(), cancel).ConfigureAwait(false);
        return _trustFile = path;
    }

    private async Task<(int Status, string Output, string Errors)> RunAsync(string program, IEnumerable<string> arguments, CancellationToken cancel)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        using var process = _space.Run(() => Process.Start(start)!);
        try
        {
            var output = process.StandardOutput.ReadToEndAsync(cancel);
            var errors = process.StandardError.ReadToEndAsync(cancel);
            await process.WaitForExitAsync(cancel).ConfigureAwait(false);
            return (process.ExitCode, await output.ConfigureAwait(false), await errors.ConfigureAwait(false));
        }
        finally
        {
            if (!process.HasExited) process.Kill();
        }
    }

    private async Task<ClientOutcome> FetchWithoutCurlAsync(string url, X509Certificate2? trusted, CancellationToken cancel)
    {
        using var handler = WebFetch.CreateHandler(trusted, async (context, stop) =>
        {
            var address = IPAddress.Parse(context.DnsEndPoint.Host);
            var socket = _space.Run(() => new Socket(address.AddressFamily, SocketType.Stream, ProtocolType.Tcp));
            await socket.ConnectAsync(address, context.DnsEndPoint.Port, stop).ConfigureAwait(false);
            return new NetworkStream(socket, ownsSocket: true);
        });
        return await WebFetch.GetAsync(handler, url, "HttpClient over kernel sockets: GET " + url, cancel).ConfigureAwait(false);
    }
}
