/* tests/fuzz/replay_main.c: a fuzz target without a fuzzer. SPDX-License-Identifier: Apache-2.0
 *
 * replay FOLDER: hands each file of the folder to the target, so that every build, with any
 * compiler, goes through the corpus. No file at all is an error: the folder is wrong then. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void replay(FILE *f) {
  fseek(f, 0, SEEK_END);
  size_t len = (size_t)ftell(f);
  rewind(f);
  uint8_t *data = malloc(len); /* its own block, so that a sanitizer sees a read past the end */
  if (!data && len > 0) abort();
  if (len > 0 && fread(data, 1, len, f) != len) abort();
  LLVMFuzzerTestOneInput(data, len);
  free(data);
}

int main(int argc, char **argv) {
  DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
  if (!dir) return fprintf(stderr, "usage: replay FOLDER\n"), 2;
  int files = 0;
  for (const struct dirent *entry; (entry = readdir(dir));) {
    if (entry->d_name[0] == '.') continue;
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", argv[1], entry->d_name);
    FILE *f = fopen(path, "rb");
    if (!f) return perror(path), 1;
    replay(f);
    fclose(f);
    files++;
  }
  closedir(dir);
  printf("%d files\n", files);
  return files ? 0 : 1;
}
