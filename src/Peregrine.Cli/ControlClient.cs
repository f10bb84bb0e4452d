// The tool's end of a control socket: finds a running network's and asks it one thing.
using System.Net.Sockets;
using System.Text;
using System.Text.Json;

namespace Peregrine.Cli;

internal static class ControlClient
{
    /// <summary>The answer of a network, named or the only one that runs, as one line of JSON.</summary>
    /// <exception cref="InvalidOperationException">The network says why it has no answer.</exception>
    internal static async Task<string> AskAsync(string? network, string what, string filter, CancellationToken cancel)
    {
        var request = filter.Length == 0 ? $"{{\"get\":\"{what}\"}}" : $"{{\"get\":\"{what}\",\"filter\":\"{JsonEncodedText.Encode(filter)}\"}}";
        var answer = await SendAsync(Find(network), request, cancel).ConfigureAwait(false);
        using var document = JsonDocument.Parse(answer);
        return document.RootElement.TryGetProperty("error", out var error) ? throw new InvalidOperationException(error.GetString()) : answer;
    }

    private static string Find(string? network)
    {
        if (network != null && network.Contains('/', StringComparison.Ordinal)) return network;
        var runtime = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        var folder = Path.Combine(string.IsNullOrEmpty(runtime) ? "/run" : runtime, "peregrine");
        if (network != null) return Path.Combine(folder, network + ".sock");
        var running = Directory.Exists(folder) ? Directory.GetFiles(folder, "*.sock") : [];
        return running.Length switch
        {
            1 => running[0],
            0 => throw new FileNotFoundException($"No network runs here (nothing in {folder}): start one, for example with 'peregrine demo --stay'."),
            _ => throw new ArgumentException("Several networks run: name one of " + string.Join(", ", running.Select(Path.GetFileNameWithoutExtension)) + "."),
        };
    }

    private static async Task<string> SendAsync(string path, string request, CancellationToken cancel)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancel).ConfigureAwait(false);
        }
        catch (SocketException e)
        {
            throw new IOException($"No network answers at {path} ({e.SocketErrorCode}): is it running, and is it yours?", e);
        }
        using var stream = new NetworkStream(socket);
        await stream.WriteAsync(Encoding.UTF8.GetBytes(request + "\n"), cancel).ConfigureAwait(false);
        using var reader = new StreamReader(stream, Encoding.UTF8);
        return await reader.ReadLineAsync(cancel).ConfigureAwait(false) ?? throw new IOException($"The network at {path} gave no answer: it may have just ended.");
    }
}
