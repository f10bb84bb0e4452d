// Kestrel on our stack, and real clients on the kernel's: h2load over HTTP/2 in the clear and over TLS, curl by each protocol.
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Peregrine.Kestrel;
using Peregrine.Sockets;

namespace Peregrine.Interop.Tests;

public sealed class KestrelTests(TapSite site) : IClassFixture<TapSite>
{
    private const int HttpPort = 8_080, HttpsPort = 8_443;

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public async Task H2loadSeesEveryRequestSucceed(bool v6, bool tls)
    {
        site.Need("h2load");
        var count = Site.IsLong ? 1_000_000 : 20_000;
        await using (await StartAsync())
        {
            // h2load leaves the brackets of an IPv6 address out of ":authority", which Kestrel refuses: so a name there, and the address beside it.
            var (url, port) = tls ? ("https://interop.test/", HttpsPort) : ("http://interop.test/", HttpPort);
            var output = await ChildProgram.RunAsync(site, "h2load", "-n", $"{count}", "-c", "32", "-m", "16", "-t", "1", $"--connect-to={Site.OursInUrl(v6)}:{port}", url);
            Assert.Contains($"{count} total, {count} started, {count} done, {count} succeeded, 0 failed, 0 errored, 0 timeout", output, StringComparison.Ordinal);
            Assert.Contains(tls ? "Application protocol: h2\n" : "Application protocol: h2c\n", output, StringComparison.Ordinal);
        }
        await site.ExpectQuietAsync();
    }

    [Theory(Timeout = Site.TimeoutMs)]
    [InlineData("--http2-prior-knowledge", false, "HTTP/2 2")]
    [InlineData("--http2", true, "HTTP/2 2")]
    [InlineData("--http1.1", true, "HTTP/1.1 1.1")]
    public async Task CurlSpeaksEachProtocol(string option, bool tls, string expected)
    {
        site.Need("curl");
        await using (await StartAsync())
        {
            var url = tls ? $"https://{Site.OursInUrl(false)}:{HttpsPort}/" : $"http://{Site.OursInUrl(false)}:{HttpPort}/";
            // The body is what the server saw, the variable what the client did.
            Assert.Equal(expected, await ChildProgram.RunAsync(site, "curl", "-sSk", option, "-m", "60", "-w", " %{http_version}", url));
        }
        await site.ExpectQuietAsync();
    }

    private async Task<WebApplication> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton<IConnectionListenerFactory>(new KestrelTransport(_ => new ValueTask<Network>(site.Network)));
        builder.WebHost.ConfigureKestrel(static kestrel =>
        {
            kestrel.Listen(IPAddress.IPv6Any, HttpPort, static listen => listen.Protocols = HttpProtocols.Http2);
            kestrel.Listen(IPAddress.IPv6Any, HttpsPort, static listen => listen.UseHttps(CreateCertificate()));
        });
        var app = builder.Build();
        app.MapGet("/", static (HttpContext context) => context.Request.Protocol);
        await app.StartAsync();
        return app;
    }

    private static X509Certificate2 CreateCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=interop.test", key, HashAlgorithmName.SHA256);
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1));
    }
}
