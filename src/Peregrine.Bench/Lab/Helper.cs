// A program that helps a measurement and speaks lines: a server or a client. Its errors are kept for the message when it ends early.
using System.Diagnostics;
using System.Reflection;
using System.Text;

namespace Peregrine.Bench.Lab;

internal sealed class Helper : IAsyncDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    // A peer's script may have to build it first.
    private static readonly TimeSpan s_patienceAtStart = TimeSpan.FromMinutes(5);

    private readonly Process _process;
    private readonly string _name;
    private readonly StringBuilder _errors = new();

    private Helper(string name, Process process)
    {
        (_name, _process) = (name, process);
        process.ErrorDataReceived += (_, line) =>
        {
            lock (_errors) _errors.AppendLine(line.Data);
        };
        process.BeginErrorReadLine();
    }

    internal int ProcessId => _process.Id;

    /// <summary>This tool's own command, to start it again as a helper.</summary>
    internal static IEnumerable<string> Tool
    {
        get
        {
            var program = Environment.ProcessPath ?? "dotnet";
            return Path.GetFileNameWithoutExtension(program) == "dotnet" ? [program, Assembly.GetEntryAssembly()!.Location] : [program];
        }
    }

    /// <summary>Starts a helper, perhaps in a namespace and on one processor.</summary>
    internal static Helper Start(string name, string? space, int cpu, IEnumerable<string> command)
    {
        List<string> all = [];
        if (space != null) all.AddRange(["ip", "netns", "exec", space]);
        if (cpu >= 0) all.AddRange(["taskset", "-c", $"{cpu}"]);
        all.AddRange(command);
        var start = new ProcessStartInfo(all[0], all[1..]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        return new Helper(name, Process.Start(start)!);
    }

    /// <summary>Starts a helper and waits until it says that it is ready; one that is not is ended.</summary>
    /// <exception cref="IOException">It ended instead, or said nothing.</exception>
    internal static async Task<Helper> StartReadyAsync(string name, string? space, int cpu, IEnumerable<string> command, CancellationToken cancel)
    {
        var helper = Start(name, space, cpu, command);
        try
        {
            await helper.ReadLineAsync(cancel, s_patienceAtStart).ConfigureAwait(false);
            return helper;
        }
        catch
        {
            await helper.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }

    /// <summary>Ends all of them, at the same time: each has two seconds, and who pressed Ctrl-C is waiting.</summary>
    internal static Task EndAllAsync(IEnumerable<IAsyncDisposable?> helpers) =>
        Task.WhenAll(helpers.OfType<IAsyncDisposable>().Select(static helper => Task.Run(async () => await helper.DisposeAsync().ConfigureAwait(false))));

    /// <summary>Runs a program to its end.</summary>
    /// <exception cref="IOException">It failed; the message has what it said.</exception>
    internal static string Run(params string[] command)
    {
        using var process = Process.Start(new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new IOException($"'{string.Join(' ', command)}' failed: {errors.Result.Trim()}");
    }

    internal Task<string> ReadLineAsync(CancellationToken cancel) => ReadLineAsync(cancel, s_patience);

    private async Task<string> ReadLineAsync(CancellationToken cancel, TimeSpan patience)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(patience);
        string? line;
        try
        {
            line = await _process.StandardOutput.ReadLineAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new IOException($"{_name} said nothing for {patience.TotalSeconds:0} s");
        }
        // Ctrl-C reaches helpers too: that one has ended or complains is then no news.
        if (line == null || line.StartsWith("error ", StringComparison.Ordinal)) cancel.ThrowIfCancellationRequested();
        if (line == null)
        {
            await _process.WaitForExitAsync(cancel).ConfigureAwait(false);
            string errors;
            lock (_errors) errors = _errors.ToString().Trim();
            throw new IOException($"{_name} ended: {(errors.Length > 0 ? errors : $"status {_process.ExitCode}")}");
        }
        return line.StartsWith("error ", StringComparison.Ordinal) ? throw new IOException($"{_name}: {line[6..]}") : line;
    }

    /// <summary>Waits for the end of a program that is asked nothing.</summary>
    /// <exception cref="IOException">It failed, or did not end; the message has what it said.</exception>
    internal async Task FinishAsync(CancellationToken cancel)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(s_patienceAtStart);
        string output;
        try
        {
            output = await _process.StandardOutput.ReadToEndAsync(limit.Token).ConfigureAwait(false);
            await _process.WaitForExitAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new IOException($"{_name} did not end within {s_patienceAtStart.TotalSeconds:0} s");
        }
        if (_process.ExitCode != 0) cancel.ThrowIfCancellationRequested();
        string errors;
        lock (_errors) errors = _errors.ToString().Trim();
        if (_process.ExitCode != 0) throw new IOException($"{_name} failed with status {_process.ExitCode}: {(errors.Length > 0 ? errors : output.Trim())}");
    }

    /// <summary>Tells it to end by the end of its input.</summary>
    internal void EndInput() => _process.StandardInput.Close();

    internal async Task WriteLineAsync(string line)
    {
        await _process.StandardInput.WriteLineAsync(line).ConfigureAwait(false);
        await _process.StandardInput.FlushAsync().ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            try
            {
                _process.StandardInput.Close();
            }
            catch (IOException)
            {
                // It does not read any more what was still to be written.
            }
            if (!await EndsWithinAsync(TimeSpan.FromSeconds(2)).ConfigureAwait(false) && !await EndsAfterAskingAsync().ConfigureAwait(false)) _process.Kill(entireProcessTree: true);
        }
        _process.Dispose();
    }

    /// <summary>One that makes namespaces of its own has to have the time to take them away: those of who is killed would stay.</summary>
    private Task<bool> EndsAfterAskingAsync()
    {
        try
        {
            Run("kill", "-TERM", $"{_process.Id}");
        }
        catch (IOException)
        {
            // It ended just now.
        }
        return EndsWithinAsync(TimeSpan.FromSeconds(5));
    }

    private async Task<bool> EndsWithinAsync(TimeSpan time)
    {
        using var limit = new CancellationTokenSource(time);
        try
        {
            await _process.WaitForExitAsync(limit.Token).ConfigureAwait(false);
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }
}
