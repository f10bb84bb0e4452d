// "peregrine fetch": a page by HttpClient over a stack on a link, printed. The other end of "serve" where the kernel is not.
using System.CommandLine;
using System.Net.Http;
using Peregrine.Cli.Demo;
using Peregrine.Drivers;

namespace Peregrine.Cli.Commands;

internal static class FetchCommand
{
    internal static Command Create()
    {
        var url = new Argument<string>("url") { Description = "What to fetch: http://, and an address (names are not resolved here)" };
        var timeout = new Option<int>("--timeout-s") { Description = "Seconds after which it is given up, 1 to 3600", DefaultValueFactory = static _ => 15 };
        var link = new LinkOptions();
        var command = new Command("fetch",
            "Fetches a page over a stack of its own and prints it.\n\nExamples:\n"
            + "  peregrine serve --link auto:/tmp/site.sock                                 here a site, and in another terminal\n"
            + "  peregrine fetch http://192.0.2.2/ --link auto:/tmp/site.sock --address 192.0.2.1/24\n"
            + "  peregrine fetch http://192.0.2.1:8000/                                     a server of this machine's kernel, over TAP")
        {
            url, timeout,
        };
        link.AddTo(command);
        command.SetAction((parsed, cancel) => RunAsync(parsed.GetValue(url)!, parsed.GetValue(timeout), link, parsed, cancel));
        return command;
    }

    private static async Task<int> RunAsync(string text, int timeoutS, LinkOptions options, ParseResult parsed, CancellationToken cancel)
    {
        if (!Uri.TryCreate(text, UriKind.Absolute, out var url) || url.Scheme != Uri.UriSchemeHttp || url.HostNameType is not (UriHostNameType.IPv4 or UriHostNameType.IPv6))
            throw new ArgumentException($"\"{text}\" will not do: give a URL like http://192.0.2.1/ or http://[2001:db8::1]:8080/.");
        if (timeoutS is < 1 or > 3_600) throw new ArgumentException($"--timeout-s is {timeoutS}; it must be from 1 to 3600.");
        var (link, watch) = options.Open(parsed);
        try
        {
            await using var network = await PeregrineNetwork.StartAsync(options.Network(parsed, "fetch", link) with { ControlSocket = "none" }, link, cancel: cancel, platform: new LinuxPlatform())
                .ConfigureAwait(false);
            watch?.Start(network.Engine);
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancel);
            patience.CancelAfter(TimeSpan.FromSeconds(timeoutS));
            using var http = new HttpClient(WebFetch.CreateHandler(null, network.ConnectAsync));
            Console.Write(await WebFetch.FirstAsync(http, url, patience.Token).ConfigureAwait(false));
            return 0;
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new IOException($"nothing came from {url} for {timeoutS} s: is the server there, and are both addresses of one network (--address)?");
        }
        finally
        {
            if (watch != null) await watch.DisposeAsync().ConfigureAwait(false);
            link.Dispose();
        }
    }
}
