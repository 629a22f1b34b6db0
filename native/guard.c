/* A load from a mapped file that cannot be answered raises SIGBUS in the thread that loads: it jumps back to where that
 * thread began. What is not ours goes on to whoever had the signal before. */
#define _GNU_SOURCE
#include "guard.h"

#include <setjmp.h>
#include <signal.h>

struct guard {
    sigjmp_buf back;
    uintptr_t first, last;
};

static _Thread_local struct guard *active;
static struct sigaction before;

static void on_bus(int signal, siginfo_t *info, void *context) {
    uintptr_t at = (uintptr_t)info->si_addr;
    if (active != NULL && at >= active->first && at <= active->last) siglongjmp(active->back, 1);
    if (before.sa_flags & SA_SIGINFO) {
        before.sa_sigaction(signal, info, context);
    } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
        before.sa_handler(signal);
    } else {
        struct sigaction plain = {.sa_handler = SIG_DFL}; /* the load is repeated, and ends the process */
        sigaction(SIGBUS, &plain, NULL);
    }
}

void pfs_guard_install(void) {
    struct sigaction now, ours = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
    if (sigaction(SIGBUS, NULL, &now) != 0) return;
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_bus) return;
    before = now;
    sigemptyset(&ours.sa_mask);
    sigaction(SIGBUS, &ours, NULL);
}

int pfs_guarded(const uint8_t *data, size_t size, void (*run)(void *given), void *given) {
    struct guard guard = {.first = (uintptr_t)data, .last = (uintptr_t)data + size};
    if (sigsetjmp(guard.back, 0) != 0) {
        active = NULL;
        return -1;
    }
    active = &guard;
    run(given);
    active = NULL;
    return 0;
}
