// The log of a network's connections, a file each. The core only copies records into a bounded queue; a task of the thread pool makes text of
// them. What does not fit, into the queue, a file or the number of files, is left out and counted.
using System.Globalization;
using System.Threading.Channels;
using Peregrine.Core.Tcp.Log;
using Peregrine.Core.Time;

namespace Peregrine.Qlog;

/// <summary>What became of a network's logged events.</summary>
internal struct QlogCounters
{
    /// <summary>Files begun.</summary>
    public long Files;

    /// <summary>Events taken from the core.</summary>
    public long Events;

    /// <summary>Events that found the queue to the writer full.</summary>
    public long EventsDropped;

    /// <summary>Connections that got no file, because there were enough or it could not be made.</summary>
    public long ConnectionsRefused;
}

internal sealed class QlogSink : ITcpEventSink, IAsyncDisposable
{
    private const int QueueCountMax = 16_384;

    private readonly PeregrineOptions _options;
    private readonly DateTimeOffset _clockStart;
    private readonly Channel<TcpLogRecord> _queue = Channel.CreateBounded<TcpLogRecord>(
        new BoundedChannelOptions(QueueCountMax) { SingleReader = true, SingleWriter = true, FullMode = BoundedChannelFullMode.Wait });
    private readonly Dictionary<long, QlogFile> _files = [];
    private readonly Task _writing;
    private QlogCounters _counters;

    /// <summary>Makes the folder and waits for events.</summary>
    /// <param name="options">Where, and how much.</param>
    /// <param name="now">The stack's clock now.</param>
    /// <exception cref="IOException">The folder cannot be made.</exception>
    internal QlogSink(PeregrineOptions options, Instant now)
    {
        _options = options;
        _clockStart = DateTimeOffset.UtcNow - TimeSpan.FromMicroseconds((now - default(Instant)).Microseconds);
        if (!Directory.Exists(options.QlogDirectory)) MadeDirectory = Directory.CreateDirectory(options.QlogDirectory).FullName;
        _writing = Task.Run(WriteAsync);
    }

    internal QlogCounters Counters => _counters;

    /// <summary>The folder, where it had to be made.</summary>
    internal string? MadeDirectory { get; }

    /// <inheritdoc/>
    public void OnEvent(in TcpLogRecord record)
    {
        if (_queue.Writer.TryWrite(record)) _counters.Events++;
        else _counters.EventsDropped++;
    }

    /// <summary>Writes what waits and closes the files. The core must have stopped.</summary>
    public async ValueTask DisposeAsync()
    {
        _queue.Writer.TryComplete();
        await _writing.ConfigureAwait(false);
    }

    private async Task WriteAsync()
    {
        while (await _queue.Reader.WaitToReadAsync().ConfigureAwait(false))
        {
            while (_queue.Reader.TryRead(out var record)) Write(record);
            // Who follows a file sees it while nothing happens.
            foreach (var file in _files.Values) file.Flush();
        }
        foreach (var file in _files.Values) file.Dispose();
        _files.Clear();
    }

    private void Write(in TcpLogRecord record)
    {
        try
        {
            if (record.Kind == TcpLogKind.Opened) Open(record);
            if (!_files.TryGetValue(record.Connection, out var file)) return;
            file.Write(record);
            if (record.Kind == TcpLogKind.Closed || file.IsFull) Close(record.Connection, file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A full disk ends a log, not a connection.
            if (_files.TryGetValue(record.Connection, out var file)) Close(record.Connection, file);
            _counters.ConnectionsRefused++;
        }
    }

    private void Open(in TcpLogRecord opened)
    {
        if (_counters.Files >= _options.QlogFileCountMax)
        {
            _counters.ConnectionsRefused++;
            return;
        }
        var name = string.Create(CultureInfo.InvariantCulture, $"{_options.Name}-{opened.Connection:D6}-{opened.Local}-{opened.Remote}.sqlog").Replace(':', '_');
        var file = new QlogFile(new FileStream(Path.Combine(_options.QlogDirectory, name), FileMode.Create, FileAccess.Write, FileShare.Read, 16_384), _options.QlogBytesMax);
        _files.Add(opened.Connection, file);
        _counters.Files++;
        file.WriteHeader($"{_options.Name}: {opened.Local} to {opened.Remote}", _clockStart, opened);
    }

    private void Close(long connection, QlogFile file)
    {
        _files.Remove(connection);
        try
        {
            file.Dispose();
        }
        catch (IOException)
        {
            // Its last bytes found no room.
        }
    }
}
