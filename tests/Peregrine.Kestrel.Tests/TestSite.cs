// A site on one network and a client's network on the other end of an in-memory link, torn down within a limit.
using System.Net;
using System.Net.Http;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Peregrine.AspNetCore;
using Peregrine.Core;
using Peregrine.Core.Links;

namespace Peregrine.Kestrel.Tests;

internal sealed class TestSite : IAsyncDisposable
{
    internal const string Address = "10.8.0.1";
    internal const int HttpPort = 80;
    internal const int HttpsPort = 443;
    internal const int H2cPort = 8080;

    private readonly MemoryLink _clientLink;

    private TestSite(WebApplication app, PeregrineNetwork client, MemoryLink clientLink) => (App, Client, _clientLink) = (app, client, clientLink);

    internal static TimeSpan Limit => TimeSpan.FromSeconds(120);

    internal WebApplication App { get; }

    internal PeregrineNetwork Client { get; }

    internal static StackOptions SmallStack { get; } = new()
    {
        ConnectionCountMax = 1_024,
        TimeWaitCountMax = 1_024,
        SynBacklogCountMax = 256,
        ListenerCountMax = 64,
        FrameCount = 2_048,
        BlockCount = 4_096,
        TransmissionRecordCount = 8_192,
    };

    internal static PeregrineOptions Options(string name, string address) => new()
    {
        Name = name, Addresses = [address + "/24"], ControlSocket = "none", UseSystemResolver = false, Stack = SmallStack,
        Hosts = new Dictionary<string, IReadOnlyList<string>> { ["site.test"] = [Address] },
    };

    internal static async Task<TestSite> StartAsync(Action<WebApplication> map, Action<WebApplicationBuilder>? build = null)
    {
        var (ours, theirs) = MemoryLink.CreatePair();
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.Services.Configure<HostOptions>(static o => o.ShutdownTimeout = TimeSpan.FromMinutes(5));
        builder.WebHost.UsePeregrine(options => (options.OpenLink, options.Network) = (() => ours, Options("site", Address)));
        builder.WebHost.ConfigureKestrel(static kestrel =>
        {
            kestrel.ListenAnyIP(HttpPort);
            kestrel.ListenAnyIP(HttpsPort, static listen => listen.UseHttps(CreateCertificate()));
            kestrel.ListenAnyIP(H2cPort, static listen => listen.Protocols = HttpProtocols.Http2);
        });
        build?.Invoke(builder);
        var app = builder.Build();
        map(app);
        await app.StartAsync().WaitAsync(Limit);
        var client = await PeregrineNetwork.StartAsync(Options("client", "10.8.0.2"), theirs);
        return new TestSite(app, client, theirs);
    }

    /// <summary>A client over the other stack that trusts any certificate.</summary>
    internal HttpClient CreateHttp(Version? version = null) => new(CreateHandler())
    {
        BaseAddress = new Uri($"http://{Address}"),
        DefaultRequestVersion = version ?? HttpVersion.Version11,
        DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact,
        Timeout = Limit,
    };

    internal SocketsHttpHandler CreateHandler() => new()
    {
        ConnectCallback = Client.ConnectAsync,
        UseProxy = false,
        SslOptions = { RemoteCertificateValidationCallback = static (_, _, _, _) => true },
    };

    public async ValueTask DisposeAsync()
    {
        await App.StopAsync().WaitAsync(Limit);
        await App.DisposeAsync().AsTask().WaitAsync(Limit);
        await Client.DisposeAsync().AsTask().WaitAsync(Limit);
        _clientLink.Dispose();
    }

    private static X509Certificate2 CreateCertificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=site.test", key, HashAlgorithmName.SHA256);
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddHours(1));
    }
}
