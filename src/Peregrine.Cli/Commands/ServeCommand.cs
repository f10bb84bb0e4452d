// "peregrine serve": a folder, or the built-in pages, by ASP.NET Core on a stack on a TAP link, until Ctrl-C.
using System.CommandLine;
using System.Net;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.FileProviders;
using Microsoft.Extensions.Logging;
using Peregrine.AspNetCore;
using Peregrine.Cli.Demo;
using Peregrine.Wire;

namespace Peregrine.Cli.Commands;

internal static class ServeCommand
{
    internal static Command Create()
    {
        var folder = new Argument<DirectoryInfo?>("folder") { Description = "The folder to serve; without one, a built-in page", DefaultValueFactory = static _ => null };
        var port = new Option<int>("--port") { Description = "Port for HTTP", DefaultValueFactory = static _ => 80 };
        var https = new Option<int>("--https-port") { Description = "Port for HTTPS with a certificate made for the occasion, or 0 for none", DefaultValueFactory = static _ => 443 };
        var link = new LinkOptions();
        var command = new Command("serve",
            "Serves a folder on a stack of its own, on a TAP link.\n\nExamples:\n"
            + "  peregrine serve ./site                       then: curl http://192.0.2.2/\n"
            + "  peregrine serve --dump                       the built-in page, and each frame printed\n"
            + "  peregrine serve --address 10.7.0.2/24 --kernel-address 10.7.0.1/24 --port 8080")
        {
            folder, port, https,
        };
        link.AddTo(command);
        command.SetAction((parsed, cancel) => RunAsync(parsed.GetValue(folder), parsed.GetValue(port), parsed.GetValue(https), link, parsed, cancel));
        return command;
    }

    private static async Task<int> RunAsync(DirectoryInfo? folder, int port, int httpsPort, LinkOptions options, ParseResult parsed, CancellationToken cancel)
    {
        if (port is < 1 or > 65_535 || httpsPort is < 0 or > 65_535 || port == httpsPort)
            throw new ArgumentException($"--port is {port} and --https-port {httpsPort}; they must be different, from 1 to 65535, and --https-port may be 0 for none.");
        if (folder is { Exists: false }) throw new DirectoryNotFoundException($"There is no folder {folder.FullName}.");
        if (parsed.GetValue(options.Link) == "memory") throw new ArgumentException("Nobody could reach a site on a link in memory: give --link tap:NAME, or see 'peregrine demo --link memory'.");
        var (link, watch) = options.Open(parsed);
        try
        {
            var network = options.Network(parsed, "serve", link);
            var own = network.Addresses.Select(static a => IPAddress.Parse(IpPrefix.Parse(a).Address.ToString())).ToList();
            using var certificate = DemoSite.CreateCertificate(own);
            var app = DemoSite.Create(port, httpsPort, certificate, host => (host.OpenLink, host.Network) = (() => link, network), LogLevel.Warning);
            Map(app, folder);
            await app.StartAsync(cancel).ConfigureAwait(false);
            watch?.Start(app.Services.GetRequiredService<PeregrineHost>().Network!.Engine);
            foreach (var address in own)
            {
                var host = address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 ? $"[{address}]" : address.ToString();
                Console.WriteLine($"serving {folder?.FullName ?? "the built-in page"} on http://{host}:{port}/" + (httpsPort > 0 ? $" and https://{host}:{httpsPort}/" : ""));
            }
            Console.WriteLine("Ctrl-C ends it; 'peregrine stats serve' shows its counters.");
            await WaitAsync(cancel).ConfigureAwait(false);
            await app.StopAsync(CancellationToken.None).ConfigureAwait(false);
            await app.DisposeAsync().ConfigureAwait(false);
            return 0;
        }
        finally
        {
            if (watch != null) await watch.DisposeAsync().ConfigureAwait(false);
            link.Dispose();
        }
    }

    private static void Map(WebApplication app, DirectoryInfo? folder)
    {
        if (folder == null)
        {
            DemoSite.MapPages(app);
            return;
        }
        app.UseFileServer(new FileServerOptions
        {
            FileProvider = new PhysicalFileProvider(folder.FullName),
            StaticFileOptions = { ServeUnknownFileTypes = true },
        });
    }

    private static async Task WaitAsync(CancellationToken cancel)
    {
        try
        {
            await Task.Delay(Timeout.Infinite, cancel).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // That is how it ends.
        }
    }
}
