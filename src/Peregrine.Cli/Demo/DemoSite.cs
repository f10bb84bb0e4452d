// The small site that the demonstration and "serve" without a folder show, and the certificate that is made for it in memory.
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Peregrine.AspNetCore;

namespace Peregrine.Cli.Demo;

internal static class DemoSite
{
    /// <summary>Makes the site; nothing listens yet.</summary>
    /// <param name="httpPort">Port for plain HTTP/1.1 and HTTP/2 without TLS.</param>
    /// <param name="httpsPort">Port for HTTPS, or 0 for none.</param>
    /// <param name="certificate">The certificate for HTTPS.</param>
    /// <param name="configure">The network's options.</param>
    /// <param name="log">Least level that is printed.</param>
    internal static WebApplication Create(int httpPort, int httpsPort, X509Certificate2? certificate, Action<PeregrineHostOptions> configure, LogLevel log = LogLevel.Error)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions { ContentRootPath = AppContext.BaseDirectory });
        builder.Logging.ClearProviders().AddSimpleConsole(static o => o.SingleLine = true).SetMinimumLevel(log);
        builder.Services.Configure<HostOptions>(static o => o.ShutdownTimeout = TimeSpan.FromSeconds(5));
        builder.WebHost.UsePeregrine(configure);
        builder.WebHost.ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.ListenAnyIP(httpPort);
            if (httpsPort == 0 || certificate == null) return;
            kestrel.ListenAnyIP(httpsPort, listen =>
            {
                listen.Protocols = HttpProtocols.Http1AndHttp2;
                listen.UseHttps(certificate);
            });
        });
        return builder.Build();
    }

    /// <summary>The built-in pages.</summary>
    internal static void MapPages(WebApplication app)
    {
        app.MapGet("/", static (HttpContext context) => Results.Text(Page(context), "text/html; charset=utf-8"));
        app.MapGet("/hello", static (HttpContext context) =>
            $"Hello from ASP.NET Core over Peregrine: {context.Request.Protocol}, {(context.Request.IsHttps ? "TLS" : "plain")}, from {context.Connection.RemoteIpAddress}\n");
        app.MapGet("/bytes/{count:int:range(0,1073741824)}", static async (int count, HttpContext context) =>
        {
            context.Response.ContentLength = count;
            context.Response.ContentType = "application/octet-stream";
            var block = new byte[16 * 1024];
            for (var i = 0; i < block.Length; i++) block[i] = (byte)i;
            for (var left = count; left > 0; left -= block.Length)
                await context.Response.Body.WriteAsync(block.AsMemory(0, Math.Min(left, block.Length)), context.RequestAborted).ConfigureAwait(false);
        });
    }

    /// <summary>A certificate for some addresses, valid for a day, whose key never leaves memory.</summary>
    internal static X509Certificate2 CreateCertificate(IEnumerable<IPAddress> addresses)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=Peregrine demonstration", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName("localhost");
        foreach (var address in addresses) names.AddIpAddress(address);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1")], critical: false));
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddDays(1));
    }

    private static string Page(HttpContext context) =>
        $"""
        <!doctype html>
        <title>Peregrine</title>
        <h1>It flies</h1>
        <p>This page came over a TCP/IP stack written in C#, in user space: {context.Request.Protocol}
        from {context.Connection.LocalIpAddress} to {context.Connection.RemoteIpAddress}.</p>

        """;
}
