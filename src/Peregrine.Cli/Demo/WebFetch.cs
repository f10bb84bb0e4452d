// A page fetched with HttpClient, over whatever the connect call-back gives.
using System.Diagnostics;
using System.Net.Http;
using System.Net.Security;
using System.Security.Cryptography.X509Certificates;

namespace Peregrine.Cli.Demo;

internal static class WebFetch
{
    /// <summary>A handler that connects by a call-back and trusts one certificate only.</summary>
    internal static SocketsHttpHandler CreateHandler(X509Certificate2? trusted, Func<SocketsHttpConnectionContext, CancellationToken, ValueTask<Stream>> connect) => new()
    {
        ConnectCallback = connect,
        UseProxy = false,
        SslOptions = new SslClientAuthenticationOptions
        {
            RemoteCertificateValidationCallback = (_, certificate, _, _) =>
                trusted != null && certificate != null && certificate.GetRawCertData().AsSpan().SequenceEqual(trusted.RawData),
        },
    };

    /// <summary>A page from a server that may not be there yet: a link of two processes comes up when both are, and addresses are probed for a moment.</summary>
    internal static async Task<string> FirstAsync(HttpClient http, Uri url, CancellationToken cancel)
    {
        while (true)
        {
            try
            {
                return await http.GetStringAsync(url, cancel).ConfigureAwait(false);
            }
            catch (HttpRequestException e) when (e.StatusCode is null && !cancel.IsCancellationRequested)
            {
                await Task.Delay(50, cancel).ConfigureAwait(false);
            }
        }
    }

    internal static async Task<ClientOutcome> GetAsync(SocketsHttpHandler handler, string url, string shown, CancellationToken cancel)
    {
        using var client = new HttpClient(handler, disposeHandler: false) { Timeout = TimeSpan.FromSeconds(8) };
        var watch = Stopwatch.StartNew();
        try
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, url) { Version = new Version(2, 0), VersionPolicy = HttpVersionPolicy.RequestVersionOrLower };
            using var response = await client.SendAsync(request, cancel).ConfigureAwait(false);
            var body = await response.Content.ReadAsByteArrayAsync(cancel).ConfigureAwait(false);
            var text = url.Contains("/bytes/", StringComparison.Ordinal) ? "" : System.Text.Encoding.UTF8.GetString(body);
            return new ClientOutcome(shown, response.IsSuccessStatusCode, $"{text}HTTP/{response.Version} {(int)response.StatusCode}, {body.Length} bytes", watch.Elapsed.TotalMilliseconds);
        }
        catch (Exception e) when (e is HttpRequestException or TaskCanceledException && !cancel.IsCancellationRequested)
        {
            return new ClientOutcome(shown, false, e.Message, watch.Elapsed.TotalMilliseconds);
        }
    }
}
