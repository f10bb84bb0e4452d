// The control socket: a unix socket that only its owner can use, over which tools read a running network. One JSON object a line each way.
// Bounded in clients and in the length of a request; it never touches the stack, only asks for snapshots.
using System.Net.Sockets;

namespace Peregrine;

internal sealed class ControlSocket : IDisposable
{
    private const int ClientCountMax = 8;
    private const int RequestBytesMax = 4_096;
    private static readonly TimeSpan s_idleTime = TimeSpan.FromSeconds(60);

    // Others may look and pass through, for a socket in there may be theirs: a network that gave root up has given it to its user.
    private const UnixFileMode DirectoryMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    private readonly Socket _listener;
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _clients = new(ClientCountMax);

    /// <summary>Binds and listens; nobody is answered before <see cref="Serve"/>.</summary>
    internal ControlSocket(string path)
    {
        Path = path;
        var directory = System.IO.Path.GetDirectoryName(path);
        if (!string.IsNullOrEmpty(directory) && !Directory.Exists(directory)) MakeDirectory(directory);
        RemoveStale(path);
        _listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            _listener.Bind(new UnixDomainSocketEndPoint(path));
            // Before listening nobody can connect, so there is no moment in which others could.
            if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            _listener.Listen(ClientCountMax);
        }
        catch
        {
            _listener.Dispose();
            throw;
        }
    }

    /// <summary>Begins to answer.</summary>
    internal void Serve(ControlAnswers answers) => _ = ServeAsync(answers);

    internal string Path { get; }

    internal static string PathFor(PeregrineOptions options)
    {
        if (options.ControlSocket != "auto") return options.ControlSocket;
        var runtime = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        return System.IO.Path.Combine(string.IsNullOrEmpty(runtime) ? "/run" : runtime, "peregrine", options.Name + ".sock");
    }

    public void Dispose()
    {
        if (_stop.IsCancellationRequested) return;
        _stop.Cancel();
        _listener.Dispose();
        try
        {
            File.Delete(Path);
        }
        catch (UnauthorizedAccessException)
        {
            // Made before root was given up, in a folder of root's. The next network with this name finds nobody on it and takes it over.
        }
    }

    private static void MakeDirectory(string directory)
    {
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(directory);
        else Directory.CreateDirectory(directory, DirectoryMode);
    }

    /// <summary>A socket file that nobody answers on was left by a process that died; one that answers is in use.</summary>
    private static void RemoveStale(string path)
    {
        if (!File.Exists(path)) return;
        using var probe = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            probe.Connect(new UnixDomainSocketEndPoint(path));
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionRefused)
        {
            File.Delete(path);
            return;
        }
        throw new IOException("another network uses it; give this one another Name or ControlSocket.");
    }

    private async Task ServeAsync(ControlAnswers answers)
    {
        try
        {
            while (!_stop.IsCancellationRequested)
            {
                await _clients.WaitAsync(_stop.Token).ConfigureAwait(false);
                var client = await _listener.AcceptAsync(_stop.Token).ConfigureAwait(false);
                _ = TalkAsync(client, answers);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // Stopped.
        }
    }

    private async Task TalkAsync(Socket client, ControlAnswers answers)
    {
        try
        {
            using var own = client;
            using var idle = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
            var buffer = new byte[RequestBytesMax];
            var length = 0;
            while (true)
            {
                var end = buffer.AsSpan(0, length).IndexOf((byte)'\n');
                if (end >= 0)
                {
                    await SendLineAsync(client, await answers.AnswerAsync(buffer.AsMemory(0, end)).ConfigureAwait(false), idle.Token).ConfigureAwait(false);
                    buffer.AsSpan(end + 1, length - end - 1).CopyTo(buffer);
                    length -= end + 1;
                    continue;
                }
                if (length == buffer.Length)
                {
                    await SendLineAsync(client, ControlAnswers.Error($"A request has at most {RequestBytesMax} bytes."), idle.Token).ConfigureAwait(false);
                    return;
                }
                idle.CancelAfter(s_idleTime);
                var n = await client.ReceiveAsync(buffer.AsMemory(length), idle.Token).ConfigureAwait(false);
                if (n == 0) return;
                length += n;
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // The client is gone, or we are.
        }
        finally
        {
            _clients.Release();
        }
    }

    private static async Task SendLineAsync(Socket client, byte[] answer, CancellationToken cancel)
    {
        await client.SendAsync(answer, cancel).ConfigureAwait(false);
        await client.SendAsync("\n"u8.ToArray(), cancel).ConfigureAwait(false);
    }
}
